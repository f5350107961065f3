"""What a Sketch can tell from a prompt: word tables, and traits out of them. Data, no drawing.

A prompt is cut into phrases; a colour belongs to the noun of its own phrase ("long silver hair", "a red
coat"). What the prompt does not say is drawn by lot, always the same lot for the same seed and prompt.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

Colour = tuple[int, int, int]

HAIR: dict[str, Colour] = {
    "black": (44, 38, 48),
    "brown": (98, 64, 48),
    "chestnut": (128, 74, 48),
    "auburn": (150, 66, 44),
    "red": (192, 84, 50),
    "ginger": (216, 118, 62),
    "blonde": (238, 202, 132),
    "platinum": (242, 230, 208),
    "silver": (198, 204, 216),
    "grey": (158, 162, 172),
    "white": (238, 236, 236),
    "pink": (240, 150, 176),
    "blue": (82, 124, 192),
    "purple": (138, 98, 180),
    "green": (88, 152, 122),
    "teal": (62, 148, 152),
}
HAIR_WORDS = {
    "platinum": "platinum", "strawberry": "ginger", "blonde": "blonde", "blond": "blonde", "golden": "blonde",
    "black": "black", "raven": "black", "jet": "black", "chestnut": "chestnut",
    "brunette": "brown", "brown": "brown", "auburn": "auburn", "copper": "ginger", "ginger": "ginger",
    "orange": "ginger", "redhead": "red", "red": "red", "silver": "silver", "gray": "grey", "grey": "grey",
    "white": "white", "pink": "pink", "blue": "blue", "violet": "purple", "purple": "purple",
    "lavender": "purple", "green": "green", "teal": "teal", "turquoise": "teal", "dark": "black",
}  # fmt: skip
HAIR_NOUNS = (
    "hair haired ponytail braid braids braided bun bob curls curly locks pixie afro fringe bangs mane"
)
HAIR_ALONE = {"blonde", "blond", "brunette", "redhead"}  # they tell of hair without the word
STYLE_WORDS = {
    "bald": "bald", "shaved head": "bald", "buzz cut": "short", "ponytail": "ponytail", "braid": "braid",
    "braids": "braid", "braided": "braid", "bun": "bun", "updo": "bun", "afro": "curls", "curly": "curls",
    "curls": "curls", "coily": "curls", "bob": "bob", "shoulder length": "bob", "medium hair": "bob",
    "pixie": "short", "short": "short", "cropped": "short", "long": "long", "flowing": "long", "wavy": "long",
}  # fmt: skip

SKIN: dict[str, Colour] = {
    "fair": (253, 226, 208),
    "light": (247, 210, 184),
    "olive": (228, 184, 146),
    "tan": (212, 160, 120),
    "brown": (172, 118, 84),
    "dark": (126, 84, 62),
    "deep": (98, 64, 50),
}
SKIN_WORDS = {
    "porcelain": "fair", "pale": "fair", "fair skin": "fair", "fair skinned": "fair", "olive skin": "olive",
    "tanned": "tan", "tan skin": "tan", "bronze": "tan", "dark skin": "dark", "dark skinned": "dark",
    "brown skin": "brown", "brown skinned": "brown", "deep skin": "deep", "ebony": "deep", "african": "deep",
    "black woman": "dark", "black man": "dark", "indian": "brown", "latina": "tan", "latino": "tan",
    "arab": "olive", "mediterranean": "olive", "asian": "light", "caucasian": "fair", "mixed": "tan",
}  # fmt: skip
LIKELY_HAIR = {"olive": "black", "tan": "brown", "brown": "black", "dark": "black", "deep": "black"}

EYES: dict[str, Colour] = {
    "brown": (112, 70, 44),
    "hazel": (146, 112, 58),
    "amber": (196, 134, 48),
    "green": (74, 144, 98),
    "blue": (72, 132, 200),
    "grey": (124, 138, 152),
    "violet": (132, 96, 184),
    "dark": (58, 42, 38),
    "red": (176, 56, 60),
}
EYE_WORDS = {
    **{key: key for key in EYES},
    "gray": "grey",
    "purple": "violet",
    "golden": "amber",
    "black": "dark",
}

CLOTH: dict[str, Colour] = {
    "red": (200, 70, 68),
    "burgundy": (128, 44, 62),
    "coral": (240, 128, 108),
    "orange": (232, 140, 76),
    "mustard": (220, 168, 66),
    "yellow": (244, 206, 104),
    "green": (80, 136, 100),
    "emerald": (36, 124, 98),
    "mint": (158, 214, 188),
    "teal": (46, 128, 134),
    "turquoise": (86, 188, 190),
    "blue": (76, 114, 182),
    "navy": (48, 60, 100),
    "denim": (92, 122, 162),
    "purple": (122, 84, 158),
    "lavender": (186, 168, 222),
    "pink": (238, 158, 178),
    "white": (244, 241, 236),
    "cream": (240, 226, 200),
    "beige": (216, 194, 162),
    "brown": (132, 92, 68),
    "grey": (138, 142, 154),
    "silver": (192, 200, 212),
    "gold": (222, 178, 92),
    "black": (54, 52, 64),
}
CLOTH_WORDS = {
    **{key: key for key in CLOTH}, "crimson": "red", "scarlet": "red", "ruby": "red", "maroon": "burgundy",
    "wine": "burgundy", "peach": "coral", "olive": "green", "sage": "mint", "forest green": "emerald",
    "sky": "turquoise", "cyan": "turquoise", "jeans": "denim", "violet": "purple", "lilac": "lavender",
    "rose": "pink", "magenta": "pink", "ivory": "cream", "tan": "beige", "camel": "beige", "gray": "grey",
    "charcoal": "black", "golden": "gold", "leather": "brown",
}  # fmt: skip
GARMENT_WORDS = {
    "gown": "dress", "dress": "dress", "sundress": "dress", "kimono": "robe", "robe": "robe", "cloak": "robe",
    "suit": "suit", "blazer": "suit", "tuxedo": "suit", "uniform": "suit", "coat": "coat", "jacket": "coat",
    "trench": "coat", "raincoat": "coat", "anorak": "coat", "parka": "coat", "cardigan": "coat", "armor": "armour", "armour": "armour", "hoodie": "hoodie",
    "sweatshirt": "hoodie", "sweater": "sweater", "turtleneck": "sweater", "pullover": "sweater",
    "jumper": "sweater", "knit": "sweater", "stripes": "stripes", "striped": "stripes", "blouse": "shirt",
    "shirt": "shirt", "t shirt": "tee", "tee": "tee", "tank top": "tee", "top": "tee", "vest": "coat",
    "outfit": "shirt", "overalls": "shirt", "sari": "robe", "tunic": "tee",
}  # fmt: skip
HAT_WORDS = {
    "straw hat": "straw", "sun hat": "straw", "wide brimmed hat": "straw", "cowboy hat": "straw",
    "witch hat": "witch", "wizard hat": "witch", "pointed hat": "witch", "beanie": "beanie", "cap": "cap",
    "beret": "beret", "crown": "crown", "tiara": "crown", "top hat": "top", "fedora": "straw", "hat": "straw",
}  # fmt: skip
POSE_WORDS = {
    "close up": "close-up", "closeup": "close-up", "headshot": "close-up", "head shot": "close-up",
    "from behind": "back", "back view": "back", "facing away": "back", "seen from the back": "back",
    "back pose": "back", "profile": "profile", "side view": "profile", "from the side": "profile",
    "lying": "lying", "reclining": "lying", "laying": "lying", "sitting": "sitting", "seated": "sitting",
    "sits": "sitting", "standing": "standing", "full body": "standing", "stands": "standing",
    "walking": "standing",
}  # fmt: skip
EXPRESSION_WORDS = {
    "laughing": "laugh", "laugh": "laugh", "grin": "laugh", "grinning": "laugh", "joyful": "laugh",
    "wink": "wink", "winking": "wink", "surprised": "surprised", "astonished": "surprised", "sad": "sad",
    "melancholic": "sad", "melancholy": "sad", "angry": "stern", "stern": "stern", "serious": "stern",
    "fierce": "stern", "determined": "stern", "shy": "shy", "blushing": "shy", "calm": "calm",
    "neutral": "calm", "serene": "calm", "thoughtful": "calm", "dreamy": "dreamy", "sleepy": "dreamy",
    "eyes closed": "dreamy", "smile": "smile", "smiling": "smile", "happy": "smile", "warm": "smile",
}  # fmt: skip
PLACE_WORDS = {
    "galaxy": "space", "spaceship": "space", "nebula": "space", "outer space": "space", "forest": "forest",
    "woods": "forest", "woodland": "forest", "jungle": "forest", "beach": "sea", "sea": "sea", "ocean": "sea",
    "harbour": "sea", "harbor": "sea", "lake": "sea", "city": "city", "street": "city", "rooftop": "city",
    "urban": "city", "skyline": "city", "snow": "snow", "snowy": "snow", "winter": "snow",
    "mountain": "mountains", "mountains": "mountains", "hills": "mountains", "desert": "desert",
    "dunes": "desert", "library": "library", "bookshop": "library", "bookstore": "library",
    "books": "library", "study": "library", "cafe": "room", "coffee": "room", "kitchen": "room", "bedroom": "room",
    "indoors": "room", "room": "room", "office": "room", "tavern": "room", "garden": "garden",
    "flowers": "garden", "meadow": "garden", "park": "garden", "field": "garden",
}  # fmt: skip
HOUR_WORDS = {
    "starry": "night", "night": "night", "moonlight": "night", "moonlit": "night", "midnight": "night",
    "sunset": "sunset", "sunrise": "sunset", "golden hour": "sunset", "dusk": "sunset", "dawn": "sunset",
}  # fmt: skip
GLASSES_WORDS = {"sunglasses": "dark", "glasses": "round", "spectacles": "round", "eyeglasses": "round"}
FIGURE_WORDS = {
    "woman": "woman", "female": "woman", "lady": "woman", "she": "woman", "queen": "woman", "witch": "woman",
    "man": "man", "male": "man", "gentleman": "man", "he": "man", "king": "man", "person": "person",
    "nonbinary": "person", "androgynous": "person",
}  # fmt: skip
BUILD_WORDS = {
    "slim": "slim", "slender": "slim", "lean": "slim", "athletic": "strong", "muscular": "strong",
    "curvy": "broad", "chubby": "broad", "stocky": "broad", "plump": "broad", "average": "average",
}  # fmt: skip
AGE_WORDS = {
    "elderly": "old", "old woman": "old", "old man": "old", "senior": "old", "60s": "old", "70s": "old",
    "80s": "old", "sixties": "old", "seventies": "old", "eighties": "old", "wrinkles": "old",
    "40s": "middle", "50s": "middle", "forties": "middle", "fifties": "middle", "middle aged": "middle",
    "mature": "middle",
}  # fmt: skip
USUAL_CLOTH = {
    "suit": ("navy", "grey", "black", "denim", "burgundy"),
    "armour": ("silver", "grey", "gold", "navy"),
}
BRIGHT = ("teal", "mustard", "coral", "navy", "mint")

_APART = re.compile(r"[,.;:()\n|]+|\b(?:and|with|in|wearing|on|at|by|under|beside|against)\b")
_DENIED = re.compile(r"\b(?:no|without|not)\s+(?:a\s+|any\s+)?\w+")


@dataclass(frozen=True, kw_only=True)
class Traits:
    """Everything a Sketch shows of a prompt; each word is a key of the tables above."""

    figure: str
    build: str
    age: str
    skin: str
    hair: str
    hair_style: str
    eyes: str
    garment: str
    cloth: str
    second_cloth: str
    hat: str
    glasses: str
    expression: str
    pose: str
    place: str
    hour: str
    freckles: bool
    beard: bool
    earrings: bool
    scarf: bool
    flower: bool


def likeness(prompt: str) -> str:
    """What of `prompt` tells who it is: the same person sits, smiles and travels under the same likeness."""
    passing = (POSE_WORDS, EXPRESSION_WORDS, PLACE_WORDS, HOUR_WORDS)
    return ", ".join(
        phrase for phrase in _phrases(_plain(prompt)) if not any(_first(t, phrase) for t in passing)
    )


def read_traits(prompt: str, dice: random.Random) -> Traits:
    """The traits that `prompt` names; `dice` decides the others, in a fixed order."""
    text = _plain(prompt)
    phrases = _phrases(text)
    lot = _Lot(dice)
    figure = _first(FIGURE_WORDS, text) or lot.of("woman", "man", "person")
    age = _first(AGE_WORDS, text) or "young"
    freckles = _has("freckles freckled", text)
    by_lot = lot.of("fair", "light", "light", "olive", "tan", "brown", "dark")
    skin = _first(SKIN_WORDS, text) or ("fair" if freckles else by_lot)
    garment = _first(GARMENT_WORDS, text)
    beards = lot.of("no", "no", "yes") == "yes"
    return Traits(
        figure=figure,
        build=_first(BUILD_WORDS, text) or "average",
        age=age,
        skin=skin,
        hair=_hair(phrases) or _usual_hair(age, skin, lot),
        hair_style=_style(phrases) or _usual_style(figure, lot),
        eyes=_near({"eyes", "eyed"}, EYE_WORDS, phrases)
        or lot.of("brown", "brown", "hazel", "green", "blue"),
        garment=garment or lot.of("sweater", "shirt", "tee", "coat", "hoodie", "stripes"),
        cloth=_near(set(GARMENT_WORDS), CLOTH_WORDS, phrases)
        or lot.of(*USUAL_CLOTH.get(garment or "", BRIGHT)),
        second_cloth=lot.of("cream", "white", "denim", "grey", "beige"),
        hat=_first(HAT_WORDS, text) or "none",
        glasses=_first(GLASSES_WORDS, text) or "none",
        expression=_first(EXPRESSION_WORDS, text) or lot.of("smile", "smile", "calm"),
        pose=_first(POSE_WORDS, text) or "portrait",
        place=_first(PLACE_WORDS, text) or "plain",
        hour=_first(HOUR_WORDS, text) or "day",
        freckles=freckles,
        beard=_has("beard bearded stubble", text) or (figure == "man" and beards),
        earrings=_has("earrings earring hoops jewelry", text),
        scarf=_has("scarf shawl bandana", text),
        flower=_has("flower crown|flower in|hair flower|flowers in her hair", text),
    )


@dataclass(frozen=True)
class _Lot:
    """Draws among likely traits."""

    dice: random.Random

    def of(self, *choices: str) -> str:
        return choices[self.dice.randrange(len(choices))]


def _plain(prompt: str) -> str:
    return _DENIED.sub(" ", prompt.lower().replace("-", " ").replace("'", ""))


def _phrases(text: str) -> list[str]:
    return [phrase.strip() for phrase in _APART.split(text) if phrase.strip()]


def _first(table: Mapping[str, str], text: str) -> str | None:
    """The value of the first entry of `table`, in the table's order, whose words stand in `text`."""
    return next((value for words, value in table.items() if re.search(rf"\b{words}\b", text)), None)


def _has(words: str, text: str) -> bool:
    options = words if "|" in words else "|".join(words.split())
    return re.search(rf"\b(?:{options})\b", text) is not None


def _near(nouns: set[str], colours: Mapping[str, str], phrases: list[str]) -> str | None:
    """The colour that stands in the same phrase as one of `nouns`."""
    for phrase in phrases:
        if any(re.search(rf"\b{noun}s?\b", phrase) for noun in nouns):
            colour = _first(colours, phrase)
            if colour:
                return colour
    return None


def _hair(phrases: list[str]) -> str | None:
    return _near(set(HAIR_NOUNS.split()) | HAIR_ALONE, HAIR_WORDS, phrases)


def _style(phrases: list[str]) -> str | None:
    nouns = f"{HAIR_NOUNS} bald shaved buzz updo coily {' '.join(HAIR_ALONE)}"
    about = " , ".join(phrase for phrase in phrases if _has(nouns, phrase))
    return _first(STYLE_WORDS, about)


def _usual_hair(age: str, skin: str, lot: _Lot) -> str:
    if age == "old":
        return lot.of("silver", "grey", "white")
    return lot.of(
        LIKELY_HAIR.get(skin, "chestnut"), LIKELY_HAIR.get(skin, "blonde"), "brown", "auburn", "black"
    )


def _usual_style(figure: str, lot: _Lot) -> str:
    if figure == "man":
        return lot.of("short", "short", "short", "curls")
    if figure == "person":
        return lot.of("short", "bob", "curls")
    return lot.of("long", "bob", "bun", "ponytail", "curls", "long")
