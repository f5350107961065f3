"""Statements of a minor's age or status made by rule, and the disguises people put on them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
ENGLISH = (
    *(
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
    ),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
)
# Formed with {n}, a number below 18 in digits or words.
FORMS = (
    "{n} years old",
    "a {n}-year-old",
    "a {n} year old elf",
    "aged {n}",
    "at age {n}",
    "her age is {n}",
    "age: {n}",
    "a woman aged {n}, smiling",
    "{n} years of age",
    "portrait of a {n}-year-old archer",
    "she is {n} years old and sails",
    "a knight, {n} years old, in armour",
    "he is about {n} years old",
    "between {n} and 30 years old, at {n} years old",
)
OF_TEN_AND_MORE = (
    "she is {n}",
    "he is only {n}.",
    "she's {n}, with freckles",
    "she looks {n}",
    "who is {n} and shy",
    "barely {n}",
    "not even {n}",
    "a girl of {n}",
    "younger than {n}",
    "she turns {n} next month",
    "has just turned {n}",
    "{n} winters old",
)
DIGITS_ONLY = ("{n}yo", "{n} y/o", "{n}yrs old", "{n} y.o.", "Mira ({n} y/o)", "{n}-yr-old")
ABROAD = {
    "sie ist {n} Jahre alt": "zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn",
    "eine {n}-jährige Frau": "zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn",
    "elle a {n} ans": "deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept",
    "une femme de {n} ans": "deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept",
    "tiene {n} años": "dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete",
    "ela tem {n} anos": "dois três quatro cinco seis sete oito nove dez onze doze treze quatorze quinze dezesseis dezessete",
    "ha {n} anni": "due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici diciassette",
    "zij is {n} jaar oud": "twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien vijftien zestien zeventien",
    "ona ma {n} lat": "dwa trzy cztery pięć sześć siedem osiem dziewięć dziesięć jedenaście dwanaście trzynaście czternaście piętnaście szesnaście siedemnaście",
    "ей {n} лет": "два три четыре пять шесть семь восемь девять десять одиннадцать двенадцать тринадцать четырнадцать пятнадцать шестнадцать семнадцать",
    "{n} yaşında": "iki üç dört beş altı yedi sekiz dokuz on onbir oniki onüç ondört onbeş onaltı onyedi",
    "usianya {n} tahun": "dua tiga empat lima enam tujuh delapan sembilan sepuluh sebelas dua_belas tiga_belas empat_belas lima_belas enam_belas tujuh_belas",
    "cô ấy {n} tuổi": "hai ba bốn năm sáu bảy tám chín mười mười_một mười_hai mười_ba mười_bốn mười_lăm mười_sáu mười_bảy",
    "عمرها {n} سنة": "سنتان ثلاث أربع خمس ست سبع ثماني تسع عشر إحدى_عشرة اثنتا_عشرة ثلاث_عشرة أربع_عشرة خمس_عشرة ست_عشرة سبع_عشرة",
    "{n} साल की": "दो तीन चार पाँच छह सात आठ नौ दस ग्यारह बारह तेरह चौदह पंद्रह सोलह सत्रह",
    "{n}岁": "二 三 四 五 六 七 八 九 十 十一 十二 十三 十四 十五 十六 十七",
    "{n}歳の人": "二 三 四 五 六 七 八 九 十 十一 十二 十三 十四 十五 十六 十七",
    "{n}살": "두 세 네 다섯 여섯 일곱 여덟 아홉 열 열한 열두 열세 열네 열다섯 열여섯 열일곱",
    "อายุ {n} ปี": "",
}
_NO_WORD = {("عمرها {n} سنة", 2)}  # Arabic says two years in the year's own form


def phrases() -> dict[str, list[str]]:
    """must_block.txt, by family."""
    found: dict[str, list[str]] = {}
    for line in _lines("must_block.txt"):
        if line.startswith("# "):
            family = found.setdefault(line[2:], [])
        else:
            family.append(line)
    return {name: lines for name, lines in found.items() if lines}


def innocent_phrases() -> list[str]:
    """must_pass.txt."""
    return [line for line in _lines("must_pass.txt") if not line.startswith("# ")]


def _lines(name: str) -> list[str]:
    return [line for line in (HERE / name).read_text("utf-8").splitlines() if line]


def sentences() -> Iterator[str]:
    """Every age below 18 in every form and language, plain."""
    for age, word in enumerate(ENGLISH):
        numbers = (str(age), word)
        forms = FORMS if age < 10 else FORMS + OF_TEN_AND_MORE
        yield from (form.format(n=number) for form, number in itertools.product(forms, numbers))
        yield from (form.format(n=age) for form in DIGITS_ONLY)
    for form, words in ABROAD.items():
        for age, word in enumerate(words.split(), start=2):
            yield form.format(n=age)
            if (form, age) not in _NO_WORD:
                yield form.format(n=word.replace("_", " "))
    yield from (form.format(n=age) for form in ABROAD for age in range(5, 18))
    yield from (f"she was born in {year}" for year in range(2009, 2027))


# ---- disguises


def _between(text: str, sign: str) -> str:
    """`sign` between every two letters of a word."""
    pairs = itertools.zip_longest(text, text[1:], fillvalue=" ")
    return "".join(one + (sign if one.isalpha() and two.isalpha() else "") for one, two in pairs)


def _swapped(text: str, table: dict[str, str]) -> str:
    return "".join(table.get(char, char) for char in text)


_CYRILLIC = dict(zip("aeopcyxis", "аеорсухіѕ", strict=True))
_LEET = dict(zip("eao", "340", strict=True))
_MARKED = dict(zip("aeioucn", "äéîöüçñ", strict=True))


def _stretched(text: str) -> str:
    return "".join(char * 4 if char in "aeiou" else char for char in text)


DISGUISES: dict[str, Callable[[str], str]] = {
    "capitals": str.upper,
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "zero width": lambda text: _between(text, "\u200b"),
    "soft hyphens": lambda text: _between(text, "\u00ad"),
    "dots between letters": lambda text: _between(text, "."),
    "stars between letters": lambda text: _between(text, "*"),
    "Cyrillic letters": lambda text: _swapped(text, _CYRILLIC),
    "digits for letters": lambda text: " ".join(
        _swapped(word, _LEET) if len(word) > 1 else word for word in text.split(" ")
    ),
    "accents": lambda text: _swapped(text, _MARKED),
    "stroke through": lambda text: "".join(f"{char}\u0336" if char.isalpha() else char for char in text),
    "stretched vowels": _stretched,
    "underscores": lambda text: text.replace(" ", "_"),
    "wide gaps": lambda text: text.replace(" ", " \u00a0 "),
    "bold letters": lambda text: "".join(chr(0x1D41A + ord(c) - 97) if "a" <= c <= "z" else c for c in text),
}


def is_latin(text: str) -> bool:
    """True where a disguise of English letters is one."""
    return text.isascii()
