"""Innocent descriptions of adults made by rule: what editors really write, with all that could be misread in it."""

from __future__ import annotations

import random
from collections.abc import Callable

NAMES = [
    "Ada",
    "Nina",
    "Minna",
    "Kidane",
    "Childe",
    "Tina",
    "Teena",
    "Lola",
    "Ilse",
    "Omar",
    "Jun",
    "Mateo",
    "Priya",
    "Kofi",
    "Saoirse",
    "Yusuf",
    "Freya",
    "Tomasz",
    "Leilani",
    "Bram",
    "Chidi",
    "Ana",
    "Noor",
    "Pavel",
    "Rosa",
    "Hugo",
    "Mirela",
    "Sten",
    "Amara",
    "Juno",
    "Otto",
    "Zora",
    "Emre",
    "Lin",
    "Thandi",
    "Marek",
    "Giulia",
    "Owen",
    "Hana",
    "Raul",
]
JOBS = [
    "lighthouse keeper",
    "paediatric nurse",
    "kindergarten teacher",
    "schoolteacher",
    "high school chemistry teacher",
    "child psychologist",
    "children's book illustrator",
    "minor league umpire",
    "infantry colonel",
    "kidney surgeon",
    "midwife",
    "steam engine driver",
    "cartographer",
    "eighteen-wheeler driver",
    "pastry chef",
    "retired judge",
    "university lecturer",
    "graduate student of law",
    "school bus driver",
    "judo coach",
    "driving instructor",
    "museum guard",
    "boat builder",
    "locksmith",
    "mining engineer",
    "opera singer",
    "beekeeper",
    "radio host",
    "youth hostel owner",
    "juvenile court judge",
    "teen drama writer",
    "toy maker",
    "infant industry economist",
    "pupil barrister",
    "detective",
    "potter",
    "sommelier",
    "ballet school director",
    "kitchen fitter",
    "diver",
    "clockmaker",
    "vet",
    "baby grand piano tuner",
    "weather forecaster",
    "bookbinder",
    "florist",
]
HOBBIES = [
    "plays sonatas in A minor",
    "collects 17 tattoos",
    "repairs 16mm cameras",
    "cycles Route 15 at dawn",
    "restores a 1912 tram",
    "bakes for twelve neighbours",
    "keeps nine goats",
    "rereads Lord of the Flies",
    "knits with size 12 needles",
    "runs 10 km before work",
    "sings in a choir of sixteen",
    "paints on kidskin",
    "photographs 14th century abbeys",
    "grows eleven kinds of tomatoes",
    "argues about minor chords",
    "plays the under-40 chess league",
    "swims 15 lengths a day",
    "owns a 12-year-old tortoise",
    "ages whisky for 16 years",
    "collects stamps from 2014",
    "writes letters to fifteen friends",
    "restores a 17-year-old van",
    "builds 8-bit synthesizers",
    "brews a 13% barley wine",
    "tunes pianos in D minor",
    "studies Bronze Age pottery",
    "dances tango",
    "climbs four peaks a year",
    "translates 16th-century sonnets",
    "tells jokes without kidding",
    "polishes 14 trophies",
]
FAMILIES = [
    "mother of two children",
    "father of three boys",
    "grandmother of six",
    "has four brothers",
    "uncle to two lively kids",
    "mother of a teenage daughter",
    "youngest of seven sisters",
    "has two grown children",
    "the only child of a sailor",
    "married for 16 years",
    "widowed at 61",
    "godmother of a little girl",
    "grandfather of five",
    "divorced after ten years",
    "an aunt to four",
    "lives with a six-month-old puppy",
    "parents of a toddler",
    "stepfather of two",
    "raised three kids",
]
PASTS = [
    "spent her childhood in Leeds",
    "left his childhood behind",
    "has sailed since the age of six",
    "has taught teenagers for 12 years",
    "won a prize in 2015",
    "moved to Porto in 2012",
    "was born in 1961",
    "remembers her childhood by the sea",
    "has played the violin since she was nine",
    "survived the storm of 1987",
    "worked sixteen winters at sea",
    "has 15 years of experience",
    "graduated with a minor in history",
    "opened a bakery 8 years ago",
    "has her teenage years behind her",
    "wrote her first song in the Teens of the last century",
    "served in the navy for eleven years",
    "teaches kids to swim",
    "read law at 24",
    "has worn glasses since childhood",
    "coaches teenagers at the rink",
]
LOOKS = [
    "baby blue eyes",
    "a boyish grin",
    "pupils like pinpoints",
    "a minor scar above the lip",
    "grey temples",
    "a kid leather jacket",
    "crow's feet",
    "a teen-spirit band tee",
    "seven silver rings",
    "a childlike sense of wonder",
    "laugh lines",
    "a gap between two teeth",
    "shoulder-length hair",
    "size 9 boots",
    "a 1920s hat",
    "a 17th-century ruff",
    "a 16-pocket vest",
    "freckles",
    "a broken nose",
    "heavy brows",
    "a baby pink cardigan",
    "kid gloves",
    "dilated pupils",
    "a silver beard",
    "a schoolmaster's tweed",
    "a Peter Pan collar",
    "a young face for his years",
    "a girlish laugh",
]
PLACES = [
    "kitchen",
    "school library at night",
    "harbour",
    "14th floor office",
    "youth hostel",
    "Kindergarten Street market",
    "children's hospital corridor",
    "12th-century chapel",
    "university",
    "night train 17",
    "Childers Street café",
    "Teenage Kicks record shop",
    "greenhouse",
    "Ursa Minor observatory",
    "Asia Minor coast",
    "ballroom",
    "desert camp",
    "old schoolhouse studio",
    "room 16 of the hotel",
    "roof terrace",
    "canteen",
    "infirmary",
    "Platform 9",
]
FOREIGN = [
    "une femme de {a} ans",
    "eine {a}-jährige Frau",
    "una mujer de {a} años",
    "uma mulher de {a} anos",
    "una donna di {a} anni",
    "een vrouw van {a} jaar oud",
    "kobieta, {a} lat",
    "женщине {a} лет",
    "{a} yaşında bir kadın",
    "usia {a} tahun",
    "{a} tuổi",
    "{a}歳の女性",
    "{a}岁的女人",
    "{a}살 여성",
    "عمرها {a} سنة",
    "{a} साल की महिला",
    "depuis 16 ans à Lyon",
    "hace 12 años en Lima",
    "seit 15 Jahren in Köln",
    "da dieci anni a Roma",
    "joie de vivre",
    "Weltschmerz",
    "saudade",
    "la dolce vita",
    "hygge",
    "wabi-sabi",
    "enfant terrible",
    "El Niño watcher",
]
TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
UNITS = ["", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def _in_words(age: int) -> str:
    if age in (18, 19):
        return ("eighteen", "nineteen")[age - 18]
    return f"{TENS[age // 10]}-{UNITS[age % 10]}".rstrip("-")


def _age(dice: random.Random) -> str:
    age = dice.randint(18, 95)
    said = dice.choice((str(age), _in_words(age)))
    form = dice.choice((
        "a {n}-year-old", "{n} years old", "aged {n}", "age {n}", "she is {n}", "he is {n} now", "just turned {n}",
        "in {p} {d}", "about {n} years of age", "a {n} year old", "looks {n}", "{n}, and proud of it",
    ))  # fmt: skip
    decade = f"{TENS[max(age // 10, 2)].removesuffix('y')}ies"
    return form.format(n=said, p=dice.choice(("her", "his", "their")), d=decade)


def _sentence_of_work(dice: random.Random) -> str:
    return f"{dice.choice(NAMES)}, {_age(dice)}, {dice.choice(JOBS)}, {dice.choice(HOBBIES)}."


def _sentence_of_family(dice: random.Random) -> str:
    return f"A {dice.choice(JOBS)}, {dice.choice(FAMILIES)}, who {dice.choice(PASTS)}; {_age(dice)}."


def _sentence_of_looks(dice: random.Random) -> str:
    first, second = dice.sample(LOOKS, 2)
    return f"Portrait of an adult with {first} and {second}, {_age(dice)}, in the {dice.choice(PLACES)}."


def _tags(dice: random.Random) -> str:
    return ", ".join((*dice.sample(LOOKS, 3), dice.choice(JOBS), dice.choice(PLACES), "adult woman"))


def _sentence_from_abroad(dice: random.Random) -> str:
    said = dice.choice(FOREIGN).format(a=dice.randint(18, 95))
    return f"{dice.choice(NAMES)}: {said}; {dice.choice(JOBS)}, {dice.choice(HOBBIES)}."


def _story(dice: random.Random) -> str:
    year = dice.randint(1930, dice.choice((1999, 2007)))
    return (
        f"{dice.choice(NAMES)} {dice.choice(PASTS)}, {dice.choice(HOBBIES)} and, {_age(dice)}, "
        f"still waits in the {dice.choice(PLACES)}. Born in {year}, {dice.choice(FAMILIES)}. "
        f"Wears {dice.choice(LOOKS)} and {dice.choice(LOOKS)}!"
    )


_KINDS: tuple[Callable[[random.Random], str], ...] = (
    _sentence_of_work,
    _sentence_of_family,
    _sentence_of_looks,
    _tags,
    _sentence_from_abroad,
    _story,
)


def descriptions(count: int, *, seed: int = 20261120) -> list[str]:
    """`count` different descriptions, the same ones in every run."""
    dice = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found[dice.choice(_KINDS)(dice)] = None
    return list(found)


def in_english(count: int, *, seed: int) -> list[str]:
    """`count` descriptions, none of them from abroad."""
    dice = random.Random(seed)
    kinds = [kind for kind in _KINDS if kind is not _sentence_from_abroad]
    return [dice.choice(kinds)(dice) for _ in range(count)]
