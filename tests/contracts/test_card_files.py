"""Character cards in and out: what becomes of each field, what is kept whole, what is refused, and who may."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from core import characters, references, scenes
from core import portraits as shown
from core.cards import exporting, files, importing
from core.cards.card import Form, as_v2
from core.cards.exporting import Kind
from core.db import cards as rows_of
from core.errors import BadRequest, Conflict, NotAllowed, NotFound, PolicyRefused, StudioError
from tests.builders import a_character, a_finished_portrait, one
from tests.unit.test_cards import DATA, V1, V2, V3, picture, text

LONG = "She maps the tide by smell. " * 40


def take(whole, person, services, *, name="card.json", **values):
    data = whole if isinstance(whole, bytes) else json.dumps(whole).encode()
    return importing.take(
        data, name, **{"rights_confirmed": True, **values}, person=person, services=services
    )


def fields(character_id, person, services):
    with services.db.as_user(person) as conn:
        return rows_of.fields_of(conn, character_id)


def exported(character_id, kind, person, services):
    return exporting.export(character_id, kind, person, services).data


def v2(**data):
    return {**V2, "data": {**DATA, **data}}


def a_png(size=256, colour="teal"):
    image = Image.new("RGB", (size, size), "ivory")
    ImageDraw.Draw(image).ellipse((40, 30, 200, 220), fill=colour)
    body = io.BytesIO()
    image.save(body, "PNG")
    return body.getvalue()


def test_every_field_of_a_card_finds_its_place(services, ana):
    card = v2(
        name="Aria", description="Keeps the light.", personality="dry wit", scenario="A lamp room at dusk.",
        first_mes="You are late.", alternate_greetings=["Tea?", "Mind the step."], system_prompt="Stay dry.",
        mes_example="<START>\nA: hello\n<START>\nB: goodbye",
        extensions={"sd_character_prompt": {"positive": "silver hair, oilskin coat", "negative": "blur"}},
    )  # fmt: skip

    made = take(card, ana, services)

    kept = fields(made.character_id, ana, services)
    assert (kept["name"], kept["description"], kept["persona"]) == ("Aria", "Keeps the light.", "")
    assert (kept["personality_traits"], kept["first_message"]) == ("dry wit", "You are late.")
    assert (kept["alternate_greetings"], kept["system_prompt"]) == (["Tea?", "Mind the step."], "Stay dry.")
    assert kept["voice_examples"] == ["A: hello", "B: goodbye"]
    assert kept["traits"] == "silver hair, oilskin coat"
    [scene] = scenes.of_character(made.character_id, ana, services)
    assert (scene.scene_name, scene.scene_description) == ("Scenario", "A lamp room at dusk.")


def test_a_long_description_is_kept_whole_as_the_persona_and_its_beginning_shown(services, ana):
    made = take(v2(description=LONG), ana, services)

    kept = fields(made.character_id, ana, services)
    assert kept["persona"] == LONG
    assert LONG.startswith(kept["description"])
    assert kept["description"].endswith("smell.")
    assert 250 < len(kept["description"]) <= 500
    [told] = [note for note in made.notes if note.code == "DESCRIPTION_LONG"]
    assert str(len(LONG)) in told.sentence


@pytest.mark.parametrize("whole", [V1, V2, V3, v2(description=LONG, name="n" * 90, scenario="s" * 5000)])
def test_what_was_imported_and_not_edited_is_exported_as_equal_json(services, ana, whole):
    made = take(whole, ana, services)

    form = Kind.v3 if whole.get("spec") == "chara_card_v3" else Kind.v2
    back = json.loads(exported(made.character_id, form, ana, services))

    expected = whole if "spec" in whole else as_v2(files.read(json.dumps(whole).encode(), "").card)
    assert back == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
TEXT = st.text(st.characters(codec=None), max_size=60)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {
            "name": st.text(min_size=1, max_size=70).filter(lambda name: files.file_stem(name.strip())),
            **dict.fromkeys(("description", "personality", "scenario", "first_mes", "mes_example"), TEXT),
            "alternate_greetings": st.lists(TEXT, max_size=3),
            "tags": st.lists(st.text(max_size=12), max_size=3),
            "extensions": st.dictionaries(st.text(max_size=8), JSON, max_size=3),
            "made_up_field": JSON,
        }
    )
)
def test_any_card_comes_out_as_it_went_in(services, ana, data):
    whole = {**V2, "data": {**DATA, **data}}

    try:
        made = take(whole, ana, services, again=True)
    except PolicyRefused:
        return

    assert json.loads(exported(made.character_id, Kind.v2, ana, services)) == whole


def test_only_what_was_edited_is_written_anew(services, ana):
    made = take(v2(creator_notes="<b>mine</b>", post_history_instructions="p"), ana, services)
    character = characters.load(made.character_id, ana, services)
    characters.save(
        made.character_id, {"name": "Zoe the Second", "traits": "a scar", "appearance_tags": ["freckles"]},
        version=character.version, person=ana, services=services,
    )  # fmt: skip

    back = json.loads(exported(made.character_id, Kind.v2, ana, services))["data"]

    changed = {
        name
        for name in DATA
        if back[name] != v2(creator_notes="<b>mine</b>", post_history_instructions="p")["data"][name]
    }
    assert changed == {"name", "extensions"}
    assert back["name"] == "Zoe the Second"
    assert back["extensions"]["vendor"] == {"keep": [1, None]}
    assert back["extensions"]["sd_character_prompt"]["positive"] == "a scar, freckles"
    assert back["extensions"]["portrait_studio"] == {"appearance_tags": ["freckles"], "traits": "a scar"}


def test_a_character_of_ours_goes_to_another_studio_and_comes_back_the_same(services, ana, ben):
    mine = a_character(ana, services, gender="non-binary", role="Pilot", traits="a scar",
                       appearance_tags=["freckles"], clothing_tags=["oilskin coat"])  # fmt: skip
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE characters SET persona = 'Hums in the fog.', mood = 'mysterious' WHERE id = %s",
            (mine.id,),
        )
    scenes.create(mine.id, {"scene_name": "Fog", "scene_description": "A pier."}, ana, services)

    card = exported(mine.id, Kind.v3, ana, services)
    made = take(card, ben, services)

    assert fields(made.character_id, ben, services) == fields(mine.id, ana, services)
    assert scenes.of_character(made.character_id, ben, services)[0].scene_description == "A pier."


def test_no_id_path_or_price_of_ours_leaves_the_house(services, ana):
    mine = a_character(ana, services)
    asked = a_finished_portrait(ana, services, mine)

    for kind in Kind:
        data = exported(mine.id, kind, ana, services)
        text_of = data if kind is not Kind.png else json.dumps(files.read(data, "").card.whole).encode()
        for secret in (mine.id, ana.id, asked.job.id):
            assert str(secret).encode() not in text_of
        assert b"user-library" not in text_of


def test_a_png_card_carries_the_primary_portrait_and_both_forms(services, ana):
    mine = a_character(ana, services)
    a_finished_portrait(ana, services, mine)

    made = exporting.export(mine.id, Kind.png, ana, services)

    read = files.read(made.data, "x.png")
    assert (made.media_type, read.card.form) == ("image/png", Form.v3)
    assert b"chara\0" in made.data
    with Image.open(io.BytesIO(made.data)) as image:
        image.load()
        assert image.format == "PNG"


def test_the_picture_of_a_card_becomes_a_portrait_in_the_library(services, ana):
    data = files.as_png(files.read(json.dumps(V3).encode(), "").card, a_png())

    made = take(data, ana, services, name="zoe.png")

    [tile] = shown.tiles(made.character_id, ana, services)
    path, tags = one(services.db, "SELECT storage_path, tags FROM user_library")
    assert made.has_picture
    assert (tile.primary, bool(tile.url)) == (True, True)
    assert tags == ["character", "portrait", "imported"]
    assert characters.load(made.character_id, ana, services).image_url == f"user-library/{path}"
    assert b"chara" not in services.storage.get("user-library", path)
    assert services.storage.info("user-library", path.rpartition(".")[0] + ".thumb.webp") is not None


def test_without_the_rights_the_character_comes_without_its_picture_and_says_so(services, ana):
    data = files.as_png(files.read(json.dumps(V3).encode(), "").card, a_png())

    made = take(data, ana, services, rights_confirmed=False)

    assert made.notes[-1].code == "RIGHTS"
    assert not made.has_picture
    assert one(services.db, "SELECT count(*) FROM user_library") == 0


def test_a_picture_too_small_to_keep_is_left_out_with_its_reason(services, ana):
    made = take(picture(text(b"chara", V2)), ana, services)

    assert not made.has_picture
    assert [note.code for note in made.notes if note.code == "PICTURE"] == ["PICTURE"]


def test_a_charx_brings_its_main_icon(services, ana):
    body = io.BytesIO()
    icon = {"type": "icon", "uri": "embeded://assets/icon/images/main.png", "name": "main", "ext": "png"}
    whole = {**V3, "data": {**V3["data"], "assets": [icon]}}
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("card.json", json.dumps(whole))
        archive.writestr("assets/icon/images/main.png", a_png())

    made = take(body.getvalue(), ana, services, name="zoe.charx")

    assert (made.form, made.has_picture) == (Form.v3, True)
    assert json.loads(exported(made.character_id, Kind.v3, ana, services)) == whole


@pytest.mark.parametrize(
    "data",
    [
        {"description": "a 15-year-old pupil"},
        {"alternate_greetings": ["fine", "she is twelve years old"]},
        {"character_book": {"extensions": {}, "entries": [{"keys": ["x"], "content": "a schoolgirl of 14"}]}},
        {"extensions": {"anything": {"deep": ["a 13-year-old girl"]}}},
        {"tags": ["15 years old"]},
    ],
)
def test_the_policy_looks_at_every_text_of_a_card(services, ana, data):
    with pytest.raises(PolicyRefused) as caught:
        take(v2(**data), ana, services)

    assert caught.value.sentence.endswith("The card was not imported.")
    assert one(services.db, "SELECT count(*) FROM characters") == 0


def test_the_same_card_twice_is_said_and_can_be_meant(services, ana, ben):
    take(V2, ana, services)

    with pytest.raises(Conflict) as caught:
        take(V2, ana, services)
    take(V2, ana, services, again=True)
    take(V2, ben, services)

    assert caught.value.reason == "ALREADY_IMPORTED"
    assert one(services.db, "SELECT count(*) FROM characters") == 3


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"null", b"{}", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"rcc||abc", b'{"name": 1e999, "x": 1e999}',
     b"[" * 10_000, b'{"name":"x","y":' + b"[" * 900 + b"]" * 900 + b"}"],
)  # fmt: skip
def test_what_is_no_card_is_refused_in_words(services, ana, data):
    with pytest.raises(StudioError) as caught:
        take(data, ana, services, name="")

    assert len(caught.value.sentence) > 20
    assert one(services.db, "SELECT count(*) FROM characters") == 0


def test_hostile_text_in_a_card_is_kept_as_text(services, ana):
    words = "<script>alert(1)</script> ${x} {{char}} \u202e\x00\ud83d 🙂"
    made = take(v2(name=words[:40], first_mes=words, extensions={"x": words}), ana, services, name=words[:30])

    back = json.loads(exported(made.character_id, Kind.v2, ana, services))["data"]

    assert back["first_mes"] == words
    assert fields(made.character_id, ana, services)["first_message"] == words.replace("\x00", "").replace(
        "\ud83d", ""
    )


def test_the_report_says_what_stays_here_before_anything_is_written(services, ana):
    made = take({**V3, "data": {**V3["data"], "nickname": "Zo", "scenario": "Dusk."}}, ana, services)
    scenes.create(made.character_id, {"scene_name": "Dawn"}, ana, services)

    codes = {
        kind: [note.code for note in exporting.report(made.character_id, kind, ana, services)]
        for kind in Kind
    }

    assert codes == {Kind.v2: ["V3_ONLY", "SCENES"], Kind.v3: ["SCENES"], Kind.png: ["SCENES", "NO_PICTURE"]}
    with pytest.raises(BadRequest) as caught:
        exporting.export(made.character_id, Kind.png, ana, services)
    assert caught.value.reason == "NO_PICTURE"


def test_only_a_reference_that_somebody_chose_is_named_among_what_stays(services, ana):
    character = a_character(ana, services)
    portrait = a_finished_portrait(ana, services, character).portrait_id
    now = characters.load(character.id, ana, services)
    by_itself = exporting.report(character.id, Kind.png, ana, services)

    references.pick_portrait(character.id, portrait, version=now.version, person=ana, services=services)
    by_choice = exporting.report(character.id, Kind.png, ana, services)

    assert now.reference_image_url
    assert [[note.code for note in notes] for notes in (by_itself, by_choice)] == [[], ["REFERENCE"]]


def test_nobody_takes_or_reads_cards_of_others(services, ana, ben, customer):
    mine = take(V2, ana, services)

    for deed in (
        lambda: exporting.export(mine.character_id, Kind.v2, ben, services),
        lambda: exporting.report(mine.character_id, Kind.v2, ben, services),
    ):
        with pytest.raises(NotFound):
            deed()
    with pytest.raises(NotAllowed):
        take(V2, customer, services)
    with services.db.as_user(ben) as conn:
        assert rows_of.of_character(conn, mine.character_id) is None


def test_cards_travel_over_http_and_one_bad_card_stops_no_other(app, ana):
    http = app.as_(ana)
    files_sent = [json.dumps(v2(name=f"Number {number}")).encode() for number in range(5)]
    files_sent[2] = b"not a card"

    answers = [
        http.post("/cards", params={"fileName": f"{place}.json"}, content=data, headers=HEADERS)
        for place, data in enumerate(files_sent)
    ]
    first = answers[0].json()
    back = http.get(f"/cards/{first['characterId']}", params={"kind": "v2"}, headers=HEADERS)

    assert [answer.status_code for answer in answers] == [201, 201, 400, 201, 201]
    assert answers[2].json()["code"] == "CARD_UNREADABLE"
    assert back.headers["content-disposition"] == "attachment; filename*=UTF-8''Number%200.v2.json"
    assert back.json()["data"]["name"] == "Number 0"
    told = http.get(f"/cards/{first['characterId']}/report", params={"kind": "png"}, headers=HEADERS).json()
    assert [note["code"] for note in told["notes"]] == ["NO_PICTURE"]


HEADERS = {"Content-Type": "application/octet-stream"}


def test_a_form_of_another_site_cannot_send_a_card(app, ana):
    http = app.as_(ana)
    answer = http.post("/cards", content=json.dumps(V2), headers={**HEADERS, "Content-Type": "text/plain"})

    assert (answer.status_code, answer.json()["code"]) == (415, "NOT_A_CARD")
