"""Character cards: the vectors and mutants of reference/character-cards.md §6, and what people send besides."""

import base64
import copy
import hashlib
import io
import json
import random
import struct
import zipfile
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from core import png
from core.cards import card as cards
from core.cards import files
from core.cards.card import Form
from core.errors import BadImage, BadRequest, StudioError


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


IHDR = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
IDAT = chunk(b"IDAT", bytes.fromhex("7801010400fbff00804020022400e1"))
IEND = chunk(b"IEND", b"")


def packed(card):
    return base64.b64encode(json.dumps(card, ensure_ascii=False, separators=(",", ":")).encode())


def text(key, card):
    return chunk(b"tEXt", key + b"\0" + packed(card))


def picture(*texts, behind=(), end=IEND):
    return png.SIGNATURE + IHDR + b"".join(texts) + IDAT + b"".join(behind) + end


V1 = {"name": "Zoë", "description": "d", "personality": "p", "scenario": "s", "first_mes": "Hi {{user}}",
      "mes_example": "<START>"}  # fmt: skip
DATA = {**V1, "creator_notes": "", "system_prompt": "", "post_history_instructions": "", "alternate_greetings": ["Yo"],
        "tags": ["Elf"], "creator": "qa", "character_version": "1.0",
        "extensions": {"vendor": {"keep": [1, None]}}}  # fmt: skip
V2 = {"spec": "chara_card_v2", "spec_version": "2.0", "data": DATA}
V3 = {"spec": "chara_card_v3", "spec_version": "3.0",
      "data": {**DATA, "group_only_greetings": [],
               "assets": [{"type": "icon", "uri": "ccdefault:", "name": "main", "ext": "png"}]}}  # fmt: skip
OTHER = {**V2, "data": {**DATA, "name": "Somebody else"}}


def codes(file):
    return [note.code for note in file.card.notes]


# -- the vectors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "digest", "form"),
    [
        (
            picture(text(b"chara", V1)),
            "eca1fe3f66d8d807233acadb76b7de2772916f3e9391f20ef2e1f8d6abdfd09f",
            Form.v1,
        ),
        (
            picture(text(b"chara", V2)),
            "d30e0ecdb46eea2f59595fa8864aaa55560f6972a780d87a03e7d2883a371977",
            Form.v2,
        ),
        (
            picture(text(b"chara", V2), text(b"ccv3", V3)),
            "5c2c512148af93262cd638e133b491b27846161bf4c23e2a084a824bc16442b1",
            Form.v3,
        ),
    ],
    ids=["V1", "V2", "V2 and V3"],
)
def test_the_reference_cards_are_read_whole(data, digest, form):
    file = files.read(data, "anything.png")

    assert hashlib.sha256(data).hexdigest() == digest
    assert file.card.form is form
    assert file.card.name == "Zoë"
    assert file.card.notes == ()
    assert file.picture == data


def line_wrapped(card):
    raw = packed(card)
    return b"\n".join(raw[i : i + 60] for i in range(0, len(raw), 60))


WHOLE = picture(text(b"chara", V2))
FLIPPED = bytearray(WHOLE)
FLIPPED[8 + 8 + 13] ^= 1  # one bit of IHDR's checksum
MUTANTS = {
    "chunks behind the pixels": (picture(behind=[text(b"chara", V2)]), []),
    "keyword in capitals": (picture(text(b"Chara", V2)), []),
    "bytes behind the end": (WHOLE + b"trailing bytes", []),
    "URL-safe base64 without padding": (
        picture(chunk(b"tEXt", b"chara\0" + base64.urlsafe_b64encode(json.dumps(V2).encode()).rstrip(b"="))),
        [],
    ),
    "base64 in lines": (picture(chunk(b"tEXt", b"chara\0" + line_wrapped(V2))), []),
    "two cards": (picture(text(b"chara", V2), text(b"chara", OTHER)), ["TWO_CARDS"]),
    "zTXt": (picture(chunk(b"zTXt", b"chara\0\0" + zlib.compress(packed(V2)))), ["OTHER_CHUNK"]),
    "iTXt": (picture(chunk(b"iTXt", b"chara\0\0\0\0\0" + packed(V2))), ["OTHER_CHUNK"]),
    "iTXt, packed": (
        picture(chunk(b"iTXt", b"chara\0\1\0\0\0" + zlib.compress(packed(V2)))),
        ["OTHER_CHUNK"],
    ),
    "byte order mark": (
        picture(chunk(b"tEXt", b"chara\0" + base64.b64encode(b"\xef\xbb\xbf" + json.dumps(V2).encode()))),
        [],
    ),
    "NUL in another text": (picture(chunk(b"tEXt", b"Comment\0a\0b"), text(b"chara", V2)), []),
    "one bit of a checksum": (bytes(FLIPPED), ["CHECKSUM"]),
    "cut before its end": (picture(text(b"chara", V2), end=b""), ["PICTURE_CUT"]),
    "other texts before it": (picture(chunk(b"tEXt", b"parameters\0a red coat"), text(b"chara", V2)), []),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_card_that_other_programs_stumble_over_is_still_read(mutant):
    data, notes = MUTANTS[mutant]

    file = files.read(data, "card.png")

    assert (file.card.name, file.card.data["tags"]) == ("Zoë", ["Elf"])
    assert codes(file) == notes


@pytest.mark.parametrize("mutant", [name for name in MUTANTS if name != "cut before its end"])
def test_what_we_write_from_a_mutant_is_a_clean_card(mutant):
    file = files.read(MUTANTS[mutant][0], "card.png")

    written = files.write(file.card, Form.v3, file.picture)
    again = files.read(written, "card.png")

    found = png.read(written)
    kinds = [one.kind for one in found.chunks]
    assert all(one.is_sound for one in found.chunks)
    assert not any(b"\0" in one.value for one in png.texts(found))
    assert sorted(one.keyword for one in png.texts(found) if one.keyword.lower() in ("chara", "ccv3")) == [
        "ccv3",
        "chara",
    ]
    assert kinds.index(b"tEXt") < kinds.index(b"IDAT")
    assert again.card.notes == ()


def test_a_card_that_is_cut_off_itself_is_refused_in_words():
    data = WHOLE[: len(WHOLE) - len(IDAT) - len(IEND) - 40]

    with pytest.raises(BadRequest, match="Download it again") as caught:
        files.read(data, "card.png")

    assert caught.value.reason == "NOT_A_CARD"


@pytest.mark.parametrize(
    "raw",
    [
        b"[]", b"null", b"7", b'"card"', b"{}", b"", b"not json", b"[" * 10_000 + b"]" * 10_000, b'{"name": NaN}',
        b'{"spec": "chara_card_v2", "data": []}', b'{"spec": 3}', b"\xff\xfe\x00", b"PK\x03\x04garbage",
        b"RIFF\x00\x00\x00\x00WEBPjunk", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\nIHDR",
    ],
    ids=lambda raw: repr(raw[:24]),
)  # fmt: skip
def test_what_is_no_card_is_refused_in_a_sentence(raw):
    with pytest.raises(StudioError) as caught:
        files.read(raw, "card.json")

    assert caught.value.status < 500
    assert len(caught.value.sentence) > 20


def test_a_protected_card_is_named_as_one():
    with pytest.raises(BadRequest) as caught:
        files.read(picture(chunk(b"tEXt", b"chara\0rcc||rccv1||abc")), "card.png")

    assert caught.value.reason == "CARD_PROTECTED"


def test_a_text_that_unpacks_without_end_is_left_alone():
    bomb = chunk(b"zTXt", b"chara\0\0" + zlib.compress(b"A" * (png.MOST_INFLATED + 1)))

    with pytest.raises(BadRequest) as caught:
        files.read(picture(bomb), "card.png")

    assert caught.value.reason == "NOT_A_CARD"


def test_a_picture_of_ten_thousand_and_one_parts_is_refused():
    with pytest.raises(BadImage) as caught:
        files.read(picture(*[chunk(b"tEXt", b"a\0b")] * png.MOST_CHUNKS), "card.png")

    assert caught.value.reason == "TOO_MANY_CHUNKS"


# -- malformed input seen in the wild -------------------------------------------------------------------------------


def read_json(card, name="Kept Name.json"):
    return files.read(json.dumps(card).encode(), name)


def with_data(**fields):
    return {**V2, "data": {**DATA, **fields}}


@pytest.mark.parametrize(
    ("card", "field", "meant", "code"),
    [
        (with_data(alternate_greetings="Good evening"), "alternate_greetings", ["Good evening"], "FIELDS"),
        (with_data(alternate_greetings=""), "alternate_greetings", [], "FIELDS"),
        (with_data(character_version=2), "character_version", "2", "FIELDS"),
        (with_data(tags="Elf, baker ,, tall"), "tags", ["Elf", "baker", "tall"], "FIELDS"),
        (with_data(creator_notes=None), "creator_notes", "", "FIELDS"),
        (with_data(extensions=None), "extensions", {}, "FIELDS"),
        ({"spec": "chara_card_v2", "spec_version": "2.0", "data": {"name": "Zoë"}}, "first_mes", "", "FIELDS"),
        ({"char_name": "Zoë", "char_persona": "d", "char_greeting": "Hi"}, "first_mes", "Hi", "OLD_FORM"),
        ({"spec": "chara_card_v2", "spec_version": "1.0", "data": DATA}, "name", "Zoë", "SPEC"),
        ({**V3, "spec_version": "three"}, "name", "Zoë", "SPEC"),
        ({**V3, "spec_version": "4.2"}, "name", "Zoë", "NEWER"),
        ({**V2, "data": {**DATA, "json_data": "x"}, "json_data": "{}"}, "name", "Zoë", "NESTED_COPY"),
        (with_data(name=""), "name", "Kept Name", "NAME"),
        ({**with_data(name="  "), "name": "Beside"}, "name", "Beside", "NAME"),
    ],
)  # fmt: skip
def test_a_field_written_in_another_way_is_mended_and_said(card, field, meant, code):
    file = read_json(card)

    assert file.card.data[field] == meant
    assert code in codes(file)


def test_a_card_without_any_name_asks_for_one_and_is_not_exported():
    file = read_json(with_data(name=""), ".json")

    assert read_json(with_data(name=""), "").card.notes[-1].code == "NO_NAME"
    with pytest.raises(BadRequest, match="name"):
        files.write(files.read(json.dumps(with_data(name="...")).encode(), "").card, Form.v2)
    assert file.card.name in {"", ".json"}


BOOK = {"extensions": {}, "entries": [{"keys": ["tea"], "content": "Likes tea.", "extensions": {"position": 4},
        "enabled": True, "insertion_order": 1, "position": "before_char"}]}  # fmt: skip


def test_a_lorebook_beside_the_fields_is_moved_in():
    file = read_json({**V2, "character_book": BOOK})

    assert file.card.data["character_book"] == BOOK
    assert "character_book" not in file.card.whole
    assert "BOOK_MOVED" in codes(file)


def test_a_lorebook_that_is_nothing_is_treated_as_absent():
    file = read_json(with_data(character_book=None))

    assert "character_book" not in file.card.data
    assert files.read(files.write(file.card, Form.v2), "x").card.whole == V2


def test_a_world_export_becomes_entries_in_the_order_of_its_keys():
    entries = {
        "10": {"key": ["late"], "content": "z", "order": 5, "disable": True, "position": 1},
        "2": {"key": "early", "content": "a", "position": "0"},
    }

    file = read_json(with_data(character_book={"entries": entries}))

    first, second = file.card.data["character_book"]["entries"]
    assert (first["keys"], first["position"], first["enabled"]) == (["early"], "before_char", True)
    assert (second["keys"], second["insertion_order"], second["enabled"], second["position"]) == (
        ["late"], 5, False, "after_char",
    )  # fmt: skip
    assert "BOOK_MENDED" in codes(file)


def test_numbers_inside_extensions_are_nobodys_business():
    odd = {"talkativeness": "", "depth_prompt": {"depth": "4"}}

    file = read_json(with_data(extensions=odd))

    assert file.card.data["extensions"] == odd
    assert file.card.notes == ()


# -- CHARX ----------------------------------------------------------------------------------------------------------

ICON = picture()


def charx(members, before=b""):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return before + buffer.getvalue()


def v3_with_icon(uri):
    asset = {"type": "icon", "uri": uri, "name": "main", "ext": "png"}
    return json.dumps({**V3, "data": {**V3["data"], "assets": [asset]}}).encode()


@pytest.mark.parametrize("start", ["embeded://", "embedded://", "__asset:"])
@pytest.mark.parametrize("top", ["", "Zoë card/"])
@pytest.mark.parametrize("before", [b"", b"\xff\xd8\xff\xe0 a jpeg of some kind \xff\xd9"])
def test_a_charx_is_read_with_its_main_icon(start, top, before):
    members = {
        f"{top}assets/icon/old_card.json": b"{}",
        f"{top}card.json": v3_with_icon(f"{start}assets/icon/images/main.png"),
        f"{top}assets/icon/images/main.png": ICON,
        f"{top}module.risum": b"binary",
    }

    file = files.read(charx(members, before), "zoe.charx")

    assert (file.card.name, file.picture) == ("Zoë", ICON)


@pytest.mark.parametrize(
    "uri", ["https://example.com/a.png", "ccdefault:", "embeded://../../etc/passwd", "embeded://gone.png"]
)
def test_a_charx_whose_icon_lies_elsewhere_has_no_picture_and_fetches_nothing(uri):
    file = files.read(charx({"card.json": v3_with_icon(uri)}), "zoe.charx")

    assert file.picture is None


@pytest.mark.parametrize(
    "members",
    [
        {"readme.txt": b"hello"},
        {"a/card.json": b"{}", "b/x": b""},
        {"card.json": b"[]"},
        {"card.json": b"{}", "../outside": b"x"},
        {"card.json": b"{}", "/outside": b"x"},
        {"card.json": b"A" * 3_000_000_0},
    ],
    ids=["no manifest", "no common folder", "a list", "climbs out", "absolute", "unpacks to too much"],
)
def test_an_archive_that_is_no_card_is_refused_in_words(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)

    with pytest.raises(BadRequest) as caught:
        files.read(buffer.getvalue(), "x.charx")

    assert caught.value.reason in {"NOT_A_CARD", "CARD_UNREADABLE", "CARD_TOO_LARGE"}


def webp(comment):
    tiff = (
        b"MM\0*\0\0\0\x08"
        + struct.pack(">H", 1)
        + struct.pack(">HHII", 0x8769, 4, 1, 26)
        + struct.pack(">I", 0)
    )
    tiff += (
        struct.pack(">H", 1)
        + struct.pack(">HHII", 0x9286, 7, len(comment), 44)
        + struct.pack(">I", 0)
        + comment
    )
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, "WEBP", exif=b"Exif\0\0" + tiff)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "comment",
    [
        json.dumps(V2).encode(),
        b"\0\0\0\0\0\0\0\0" + json.dumps(V2).encode(),
        ",".join(str(byte) for byte in json.dumps(V2).encode()).encode(),
    ],
    ids=["text", "leading NULs", "a list of bytes"],
)
def test_an_old_webp_card_is_read_as_a_courtesy(comment):
    assert files.read(webp(comment), "zoe.webp").card.name == "Zoë"


# -- out again --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("whole", "form"), [(V2, Form.v2), (V3, Form.v3)], ids=["V2", "V3"])
def test_import_and_export_without_edits_is_the_same_json(whole, form):
    file = read_json(whole)

    assert json.loads(files.write(file.card, form)) == whole


def test_a_v3_card_written_as_v2_says_what_it_loses():
    rich = {**V3, "data": {**V3["data"], "nickname": "Zo", "source": ["https://example.com/1"]}}
    file = read_json(rich)

    (note,) = cards.losses(file.card, Form.v2)

    assert ("nickname" in note.sentence, "source" in note.sentence, "assets" in note.sentence) == (
        True,
        True,
        False,
    )
    assert json.loads(files.write(file.card, Form.v2)) == V2
    assert cards.losses(file.card, Form.v3) == ()


def test_a_v1_card_becomes_a_whole_v2_and_v3():
    file = read_json(V1)

    v2, v3 = cards.as_v2(file.card), cards.as_v3(file.card)

    assert read_json(v2).card.notes == read_json(v3).card.notes == ()
    assert {name: v2["data"][name] for name in V1} == V1


def test_a_picture_keeps_its_other_texts_and_its_pixels():
    buffer = io.BytesIO()
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "a red coat, Steps: 20")
    info.add_text("chara-ext-asset_:1", "AAAA")
    Image.effect_noise((8, 8), 90).convert("RGB").save(buffer, "PNG", pnginfo=info)
    original = Image.open(io.BytesIO(buffer.getvalue()))

    written = files.write(read_json(V3).card, Form.v3, buffer.getvalue())

    shown = Image.open(io.BytesIO(written))
    assert shown.tobytes() == original.tobytes()
    assert shown.info["parameters"] == "a red coat, Steps: 20"
    assert "chara-ext-asset_:1" not in shown.info
    assert json.loads(base64.b64decode(shown.info["ccv3"])) == V3
    assert json.loads(base64.b64decode(shown.info["chara"])) == V2


def test_writing_twice_is_writing_once():
    card = read_json(V3).card

    once = files.write(card, Form.v3, picture())

    assert files.write(card, Form.v3, once) == once


@pytest.mark.parametrize(
    ("name", "stem"),
    [("Aria: The/Mage?", "Aria TheMage"), ("CON", ""), ("...", ""), ("   ", ""), ("Zoë", "Zoë"), ("com1.txt", ""), ("é" * 300, "é" * 100)],
)  # fmt: skip
def test_a_name_becomes_a_file_name_as_sillytavern_cleans_it(name, stem):
    assert files.file_stem(name) == stem


# -- by property ------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=()), max_size=40)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def random_cards(draw):
    data = {name: draw(TEXT) for name in DATA if isinstance(DATA[name], str)}
    data["name"] = draw(st.text("Zoëmila ", min_size=1).filter(str.strip))
    data |= {"alternate_greetings": draw(st.lists(TEXT)), "tags": draw(st.lists(TEXT))}
    data["extensions"] = draw(st.dictionaries(TEXT, JSON, max_size=4))
    form = draw(st.sampled_from(["2.0", "3.0"]))
    if form == "3.0":
        data["group_only_greetings"] = draw(st.lists(TEXT))
    data |= {f"x_{key}": value for key, value in draw(st.dictionaries(TEXT, JSON, max_size=3)).items()}
    whole = {"spec": f"chara_card_v{form[0]}", "spec_version": form, "data": data}
    return whole | {f"x_{key}": value for key, value in draw(st.dictionaries(TEXT, JSON, max_size=2)).items()}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(whole=random_cards(), with_picture=st.booleans())
def test_any_well_formed_card_comes_out_as_it_went_in(whole, with_picture):
    form = Form(f"V{whole['spec_version'][0]}")
    file = files.read(files.as_json(whole), "x.json")

    written = files.write(file.card, form, picture() if with_picture else None)

    assert file.card.notes == ()
    again = files.read(written, "x").card
    assert (cards.as_v3(again) if form is Form.v3 else cards.as_v2(file.card)) == whole


@settings(max_examples=200, deadline=None)
@given(whole=JSON)
def test_any_json_is_a_card_or_a_clear_refusal(whole):
    try:
        file = files.read(
            files.as_json({"name": "x", **whole} if isinstance(whole, dict) else whole), "x.json"
        )
    except BadRequest:
        return

    assert isinstance(file.card.name, str)
    json.dumps(cards.as_v2(file.card))


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_a_damaged_file_is_read_or_refused_but_never_breaks_us(seed):
    chance = random.Random(seed)
    base = chance.choice(
        [WHOLE, charx({"card.json": v3_with_icon("embeded://i.png"), "i.png": ICON}), webp(packed(V2))]
    )
    data = bytearray(base)
    for _ in range(chance.randint(1, 6)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    cut = bytes(data[: chance.randrange(1, len(data) + 1)]) if chance.random() < 0.3 else bytes(data)

    try:
        file = files.read(cut, "x.png")
    except StudioError:
        return

    assert isinstance(file.card.data, dict)


def test_reading_a_card_leaves_what_was_read_alone():
    whole = {**V2, "character_book": BOOK}
    before = copy.deepcopy(whole)

    cards.understand(whole)

    assert whole == before
