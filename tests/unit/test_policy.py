"""Words and ages: what must be refused, what must pass, and that a refusal repeats nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import catalog
from core.errors import PolicyRefused
from core.policy import check_texts, describes_minor, effective_rating
from core.values import ContentRating

REFUSED = (
    # ages in digits
    "17 y/o",
    "15yo",
    "15 y.o.",
    "16 yr old",
    "a 16-year-old with red hair",
    "9yrs old",
    "she is 12 years of age",
    "14 years young",
    "aged 12",
    "age: 9",
    "age 9",
    "Age = 13",
    "ages 12 to 15",
    "at the age of 14",
    "She is 16",
    "she's 12, shy",
    "He is only 15.",
    "they are just 17 and lost",
    "I am 13",
    "Mia is 16.",
    "just turned 16",
    "who turned 17 today?",
    "Mia, 15, pirate captain",
    "brown hair, 16, school uniform",
    "Lena (16)",
    "15-25 years old",
    "17 or 18 years old",
    "6 months old",
    "15y",
    "１６ years old",
    "⑯ years old",
    "١٦ years old",
    "1 7 years old",
    "16 years  old woman",
    "16_years_old",
    "16 winters old",
    "almost 18",
    "not yet eighteen",
    "under 18, blonde",
    "younger than 18 years",
    "her 16th birthday",
    "celebrating her sixteenth birthday",
    "a 10th grader",
    "in 7th grade",
    "grade 9 student",
    "a girl of 14",
    "a lass of fifteen summers",
    "barely sixteen",
    "appears to be 15",
    "not 18 yet",
    "she isn't 18",
    "16-something",
    "a boy, 12 years",
    "<18",
    # ages in words
    "sixteen years old",
    "sixteen-year-old",
    "aged fifteen",
    "age of nine",
    "she is twelve",
    "a seventeen year old pirate",
    "S1XTEEN years old",
    "sweet sixteen",
    # words
    "child",
    "a happy Child",
    "children playing",
    "a kid with freckles",
    "two kids",
    "her kids",
    "schoolgirl",
    "school girl",
    "school-boy",
    "teen",
    "teenager",
    "a teenage witch",
    "in her late teens",
    "toddler",
    "an infant",
    "newborn baby",
    "loli",
    "lolicon style",
    "shota",
    "underage",
    "under-age elf",
    "preteen",
    "pre-teen",
    "prepubescent body",
    "an adolescent",
    "jailbait",
    "a minor",
    "minor",
    "she is a minor, legally",
    "portrait of a minor",
    "still a minor",
    "minors",
    "a minor girl",
    "a juvenile",
    "little girl",
    "a young boy",
    "young girl",
    "baby girl",
    "holding a baby",
    "high school student",
    "middle schooler",
    "kindergartner",
    "her in her childhood",
    "childlike body",
    "childish face and figure",
    "barely a teen",
    "youngster",
    "not of legal age",
    "below the age of consent",
    "kid sister",
    "lolita",
    # disguises
    "s c h o o l g i r l",
    "S.C.H.O.O.L.G.I.R.L",
    "c-h-i-l-d",
    "t_e_e_n",
    "k i d",
    "a c h i l d",
    "ch1ld",
    "ch!ld",
    "CH|LD",
    "t33n",
    "l0l1",
    "1oli",
    "5hota",
    "$choolg1rl",
    "k1d",
    "ch*ld",
    "sch**lgirl",
    "chi\u200bld",
    "ch\u00adild",
    "te\u2060en",
    "ｓｃｈｏｏｌｇｉｒｌ",
    "𝓬𝓱𝓲𝓵𝓭",
    "сhild",
    "tееn",
    "chïld",
    "c̶h̶i̶l̶d̶",
    "chiiiild",
    "teeeen",
    "chi ld",
    "scho olgirl",
    "sch-ool-girl",
    "TeenGirl",
    "childgirl",
    "16YO",
    "kid99",
    "👧",
    "a woman 👶",
    # other languages
    "ein Kind mit Ball",
    "Schulmädchen",
    "minderjährige Hexe",
    "16 Jahre alt",
    "eine 15-jährige Frau",
    "sechzehnjährige Diebin",
    "im Alter von 12",
    "kleines Mädchen",
    "une fillette",
    "une femme de 16 ans",
    "seize ans",
    "âgée de 15 ans",
    "elle a dix-sept ans",
    "lycéenne",
    "une mineure",
    "enfant",
    "una niña",
    "tiene 16 años",
    "quince años",
    "menor de edad",
    "colegiala",
    "tem 16 anos",
    "dezesseis anos",
    "uma criança",
    "menina",
    "ha 16 anni",
    "una ragazzina",
    "sedicenne",
    "minorenne",
    "bambina",
    "школьница",
    "девочка",
    "ребёнок",
    "ей 16 лет",
    "шестнадцатилетняя",
    "шестнадцать лет",
    "несовершеннолетняя",
    "16歳",
    "十六歳の女性",
    "１５才",
    "女子高生",
    "少女",
    "小学生",
    "ロリ",
    "未成年",
    "小学五年生",
    "16岁",
    "十五岁",
    "萝莉",
    "小女孩",
    "未满18岁",
    "18歳未満",
    "열여섯 소녀",
    "16살",
)

INNOCENT = (
    "21 years old",
    "she is 34",
    "He is 83, by his own count",
    "twenty-one years old",
    "a twenty one year old pilot",
    "a hundred and five years old",
    "one hundred and sixteen years old",
    "at least three hundred years old",
    "1,016 years old",
    "118 years old",
    "aged 45",
    "age: 27",
    "age 18",
    "18 years old",
    "eighteen years old",
    "18+",
    "over 18",
    "nobody under 18",
    "in their twenties",
    "20s",
    "kitchen",
    "16th century",
    "a 17th-century ruff",
    "kidney",
    "kidnapper of hearts",
    "just kidding",
    "I kid you not",
    "don't kid yourself",
    "goat kid leather",
    "kid gloves",
    "Billy the Kid poster",
    "minor key",
    "sonata in A minor",
    "an A minor chord",
    "Minor scratches",
    "a minor inconvenience",
    "Ursa Minor",
    "Asia Minor",
    "17 rings",
    "infantry",
    "infanta of Spain",
    "teens of coins",
    "canteen",
    "nineteen eighty-four",
    "eighteen agents",
    "steward of the estate",
    "a childhood friend",
    "childhood memories of the sea",
    "since childhood",
    "has played the violin since she was nine",
    "sailing since the age of six",
    "inner child",
    "child's play",
    "children's book illustrator",
    "child psychologist",
    "an only child",
    "childless",
    "kid-friendly",
    "grandmother of six grandchildren",
    "childish humour",
    "childlike wonder",
    "girl with a pearl earring",
    "a young woman",
    "cowboy",
    "boyfriend",
    "old school boyfriend",
    "high school teacher",
    "old school girlfriend",
    "kindergarten teacher",
    "gothic lolita fashion",
    "lollipop",
    "lotion",
    "baby blue eyes",
    "baby face",
    "a baby dragon on her shoulder",
    "hey baby",
    "teeny tiny hat",
    "12-year-old whisky",
    "a 10 year old car",
    "a six-month-old puppy",
    "15 years of experience",
    "5 feet tall",
    "she is 5 feet 9",
    "she's 12 points ahead",
    "he is 15 minutes late",
    "the score is 12.",
    "her lucky number is 13",
    "room number 16, key in hand",
    "counting 1, 2, 3, 4, go",
    "stage: 9",
    "page 12",
    "voyage 9",
    "Bronze Age 3",
    "under 15 degrees",
    "under 10% alcohol",
    "women under age 40",
    "resting under aged oak beams",
    "85mm lens, f/16",
    "an F-16 pilot",
    "5 yo-yos",
    "she is the one",
    "they are one",
    "She was once a spy",
    "an elf with silver hair",
    "a kind smile",
    "without further ado",
    "call me Nina",
    "Nino Rota fan",
    "El Niño",
    "line 9",
    "the ninth step",
    "automatic since 1987",
    "her 40th birthday",
    "twenty-first birthday",
    "petite woman",
    "youthful grin",
    "pupil of the eye",
    "shoulder-length hair",
    "minor role in a film",
    "graduated with a minor in history",
    "minor scale",
    "a well-dressed adult woman",
    "Michael Keaton's jacket",
    "a b c of sailing",
    "U. S. A. F. jacket",
    "shot at dawn",
    "shotgun",
    "Lola",
    "Chile",
    "chilled wine",
    "mineral water",
    "enfant terrible",
    "il y a 10 ans",
    "depuis seize ans",
    "10 ans d'expérience",
    "vingt-deux ans",
    "soixante-dix-sept ans",
    "hace 10 años",
    "treinta y cinco años",
    "16 años de experiencia",
    "vinte e cinco anos",
    "da dieci anni",
    "ventidue anni",
    "vor 10 Jahren",
    "seit 12 Jahren",
    "fünfundzwanzig Jahre alt",
    "25-jährige Frau",
    "двадцать пять лет",
    "10 лет назад",
    "взрослая женщина",
    "二十五歳",
    "25歳の女性",
    "二十代の女性",
    "大学生",
    "カロリー",
    "ロリポップ",
    "少年ジャンプ",
    "女孩子",
    "二十岁的女人",
    "16세기",
    "",
    "   ",
)


@pytest.mark.parametrize("text", REFUSED)
def test_a_text_that_describes_a_minor_is_refused(text):
    with pytest.raises(PolicyRefused) as refusal:
        check_texts({"name": "Ilse", "description": text})

    assert (refusal.value.reason, refusal.value.field, refusal.value.status) == (
        "POLICY_MINOR",
        "description",
        422,
    )


@pytest.mark.parametrize("text", INNOCENT)
def test_an_innocent_text_passes(text):
    check_texts({"description": text})


@pytest.mark.parametrize("text", REFUSED)
def test_a_refused_text_stays_refused_inside_a_longer_description(text):
    longer = f"A night market by the river, lanterns everywhere.\n{text}\nRain is on its way."

    refused = describes_minor(longer)

    assert refused


@pytest.mark.parametrize("text", [text for text in INNOCENT if text.strip()])
def test_an_innocent_text_passes_in_capitals_and_beside_others(text):
    check_texts({"prompt": f"Portrait of an adult woman. {text.title()}. Harbour at night."})


@pytest.mark.parametrize("text", [text for text in REFUSED if text.isascii()])
def test_a_refusal_never_repeats_the_words(text):
    with pytest.raises(PolicyRefused) as refusal:
        check_texts({"own_words": f"xylophone {text}"})

    assert "xylophone" not in str(refusal.value)
    assert "own words" in str(refusal.value)


def test_everything_that_ships_passes_the_policy():
    shipped = catalog.load()
    texts = {
        **{
            f"{one.key}.{field}": getattr(one, field)
            for one in shipped.templates
            for field in ("name", "role", "description", "persona", "first_message")
        },
        **{
            f"{one.key}.tags": ", ".join((*one.appearance_tags, *one.clothing_tags))
            for one in shipped.templates
        },
        **{
            f"{one.key}.words": one.words
            for kind in ("pose", "expression", "outfit", "camera")
            for one in shipped.presets(kind)
        },
        **{one.key: one.words for one in shipped.style_presets},
        **{
            f"{cell.value.value} {cell.style.key}": f"{cell.value.words}, {cell.style.words}"
            for cell in shipped.cells()
        },
        **{f"subject.{gender}": words for gender, words in shipped.words.subject.items()},
        "quality": ", ".join((*shipped.words.opening, *shipped.words.closing, *shipped.words.identity)),
    }

    check_texts(texts)


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(min_value=18, max_value=999))
def test_every_adult_age_passes(age):
    check_texts({"description": f"She is {age} years old, aged {age}, age: {age}, a {age}-year-old captain."})


@given(
    st.integers(min_value=1, max_value=17),
    st.sampled_from(["{} years old", "a {}-year-old", "aged {}", "{}yo"]),
)
def test_every_age_below_18_is_refused(age, form):
    assert describes_minor(form.format(age))


@given(st.text(max_size=300))
def test_no_text_whatever_breaks_the_matcher(text):
    assert describes_minor(text) in {True, False}


HOSTILE = (
    "1" * 20_000,
    "a " * 10_000,
    "twenty " * 3_000,
    "age of " * 3_000,
    "x1" * 10_000,
    "age" + " " * 20_000,
)


@pytest.mark.timeout(5)
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_text_made_to_stall_the_matcher_is_read_all_the_same(text):
    assert describes_minor(text) is False


RATINGS = (
    # requested, of the character, allowed, effective, said so
    (None, None, True, "sfw", False),
    ("sfw", "sfw", True, "sfw", False),
    ("nsfw", "nsfw", True, "nsfw", False),
    (None, "nsfw", True, "nsfw", False),
    ("nsfw", None, True, "nsfw", False),
    ("nsfw", "sfw", True, "sfw", True),
    ("sfw", "nsfw", True, "sfw", False),
    ("nsfw", "nsfw", False, "sfw", True),
    (None, "nsfw", False, "sfw", True),
    ("sfw", "nsfw", False, "sfw", False),
)


@pytest.mark.parametrize(("requested", "character", "allowed", "effective", "said"), RATINGS)
def test_the_stricter_rating_counts_and_a_lowered_one_is_said(requested, character, allowed, effective, said):
    rating, warning = effective_rating(
        ContentRating(requested) if requested else None,
        ContentRating(character) if character else None,
        allow_nsfw=allowed,
    )

    assert rating == effective
    assert (warning is not None) == said
