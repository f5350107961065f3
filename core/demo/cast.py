"""Who lives in the demo world: people with their roles, and the characters they write. Everybody is made up, grown up and
fully dressed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import NAMESPACE_URL, UUID, uuid5

from core.values import CharacterId, JobId, Person, PersonId, Role


def the_id(name: str) -> UUID:
    """The id of something in the demo world, the same in every one."""
    return uuid5(NAMESPACE_URL, f"portrait-studio-demo/{name}")


def _person(key: str, name: str, *roles: Role) -> Person:
    return Person(id=PersonId(the_id(key)), roles=frozenset(roles), name=name)


ADA = _person("ada", "Ada Quill", Role.editor)
BRUNO = _person("bruno", "Bruno Falk", Role.editor)
QUINN = _person("quinn", "Quinn Okafor", Role.qa)
PIA = _person("pia", "Pia Lindqvist", Role.product)
ARI = _person("ari", "Ari Menon", Role.admin)
CASS = _person("cass", "Cass Doyle")  # a customer of the platform: no role in the studio
PEOPLE: Sequence[Person] = (ADA, BRUNO, QUINN, PIA, ARI, CASS)


def email_of(person: Person) -> str:
    """An address that cannot be written to."""
    return f"{person.name.lower().replace(' ', '.')}@demo.invalid"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A character as it is written; `owner` writes it."""

    key: str
    owner: Person
    name: str
    gender: str
    role: str
    description: str
    looks: tuple[str, ...]
    clothes: tuple[str, ...]


CAST: Sequence[Part] = (
    Part(
        key="odalys",
        owner=ADA,
        name="Odalys Fennimore",
        gender="female",
        role="Harbour pilot",
        description="Brings ships through fog with a thermos of soup and a whistle. Knows every buoy by its first name.",
        looks=("silver hair", "freckles", "green eyes"),
        clothes=("oilskin coat", "woollen scarf"),
    ),
    Part(
        key="barnaby",
        owner=ADA,
        name="Barnaby Tock",
        gender="male",
        role="Clock repairer",
        description="Repairs station clocks and is never on time himself. Keeps a drawer of minutes he has saved over the years.",
        looks=("grey moustache", "round glasses"),
        clothes=("corduroy waistcoat", "bow tie"),
    ),
    Part(
        key="wilhelmina",
        owner=BRUNO,
        name="Dr. Wilhelmina Frost",
        gender="female",
        role="Snow scientist",
        description="Has counted the corners of four thousand snowflakes and found one with seven. Nobody believes her yet.",
        looks=("black bob", "brown eyes"),
        clothes=("quilted parka", "fingerless gloves"),
    ),
    Part(
        key="perpetua",
        owner=ADA,
        name="Perpetua Quince",
        gender="female",
        role="Beekeeper",
        description="Keeps bees after a 16th century handbook, kitchen recipes included. The bees have read it too, she says.",
        looks=("grey braid", "laugh lines"),
        clothes=("linen apron", "straw hat"),
    ),
    Part(
        key="juno",
        owner=BRUNO,
        name="Juno Applegarth",
        gender="female",
        role="Brass band leader",
        description="Conducts eleven tubas and one very brave triangle. Rehearses in a car wash because of the echo there.",
        looks=("red curls", "freckles"),
        clothes=("marching jacket",),
    ),
    Part(
        key="tobias",
        owner=BRUNO,
        name="Tobias Underhill",
        gender="male",
        role="Mushroom guide",
        description="Leads people into the woods and, on most days, out again. Whispers, so as not to wake the chanterelles.",
        looks=("brown beard", "kind eyes"),
        clothes=("green jumper", "rubber boots"),
    ),
    Part(
        key="lotte",
        owner=ADA,
        name="Lotte Brandwijk",
        gender="female",
        role="Ferry cook",
        description="Cooks for two hundred on a moving floor and has never dropped a pancake that did not deserve it.",
        looks=("blonde bun", "rosy cheeks"),
        clothes=("white chef jacket",),
    ),
    Part(
        key="rafael",
        owner=ADA,
        name="Rafael Ibarra-Stone",
        gender="male",
        role="Night librarian",
        description="Opens the library when everybody sleeps, for owls and for people who argue with their pillows.",
        looks=("dark curls", "tall"),
        clothes=("tweed jacket",),
    ),
    Part(
        key="mandy",
        owner=BRUNO,
        name="Mandy Moss",
        gender="female",
        role="Crossword writer",
        description="Writes crosswords that end friendships and then mends them with a second, easier crossword.",
        looks=("short grey hair",),
        clothes=("mustard cardigan",),
    ),
    Part(
        key="mandy-too",
        owner=BRUNO,
        name="Mandy Moss",
        gender="female",
        role="Racing cyclist",
        description="Not related to the crossword writer of the same name. Wins mountain stages and loses her keys daily.",
        looks=("sun tan", "short dark hair"),
        clothes=("cycling jersey",),
    ),
    Part(
        key="halloran",
        owner=ADA,
        name="Captain Halloran",
        gender="male",
        role="Retired balloonist",
        description="Went up once too often and was removed from the cast at his own wish. Sends postcards from above.",
        looks=("white beard",),
        clothes=("leather helmet", "flight coat"),
    ),
    Part(
        key="gustav",
        owner=BRUNO,
        name="Gustav Pfennig",
        gender="male",
        role="Auditor of lemonade stands",
        description="Audits lemonade stands, kindly but to the last cent. Changes his mind about portraits while they are made.",
        looks=("bald", "grey eyebrows"),
        clothes=("pinstripe suit",),
    ),
    Part(
        key="serafina",
        owner=BRUNO,
        name="Serafina Lindgren",
        gender="non-binary",
        role="Tram conductor",
        description="Announces every stop as if it were the moon. Sings the timetable, and is right about it more often than not.",
        looks=("copper hair", "hazel eyes"),
        clothes=("conductor uniform",),
    ),
)

VELVET = CharacterId(the_id("velvet"))  # these two were written on the platform
INES = CharacterId(the_id("ines"))


def the_job(name: str) -> JobId:
    """The id of a job that another writer wrote."""
    return JobId(the_id(f"job/{name}"))
