"""What people do with portraits: rate them, look at their settings, ask again, remove and bring back many, take away."""

from __future__ import annotations

import io
import zipfile
from uuid import uuid4

import pytest
from PIL import Image

from core import copies, generation, metadata, portraits
from core.cards import files as card_files
from core.copies import Kind
from core.errors import BadRequest, NotAllowed, NotFound
from core.metadata import Origin
from core.storage import LIBRARY
from core.values import Presets
from tests.builders import a_character, a_finished_portrait, a_request, one, rows, work

PRESETS = Presets(pose="sitting", expression="smirk", camera="film")


@pytest.fixture
def services(build):
    """Sketch alone: its pictures are PNG and free."""
    return build(providers=("sketch",))


@pytest.fixture
def character(services, ana):
    return a_character(ana, services)


@pytest.fixture
def portrait(services, ana, character):
    """A finished portrait with words and presets of its own."""
    asked = {"own_words": "by the sea", "presets": PRESETS}
    return a_finished_portrait(ana, services, character, **asked).portrait_id


def tile_of(portrait_id, person, services, character):
    found = portraits.tiles(character.id, person, services)
    return next(tile for tile in found if tile.id == str(portrait_id))


def the_job(services, job_id):
    return one(services.db, "SELECT metadata FROM jobs WHERE id = %s", (job_id,))


# ---- ratings


def test_a_rating_is_each_persons_own(build, ana, ben, character, portrait):
    sharing = build(team_sharing=True)

    portraits.rate(portrait, ana, sharing, favourite=True)
    portraits.rate(portrait, ana, sharing, stars=4)
    portraits.rate(portrait, ben, sharing, stars=1)

    hers = tile_of(portrait, ana, sharing, character)
    his = tile_of(portrait, ben, sharing, character)
    assert (hers.favourite, hers.stars, his.favourite, his.stars) == (True, 4, False, 1)


def test_a_rating_that_says_nothing_any_more_leaves_no_row(services, ana, portrait):
    portraits.rate(portrait, ana, services, favourite=True, stars=5)

    portraits.rate(portrait, ana, services, favourite=False)
    portraits.rate(portrait, ana, services, stars=0)

    assert rows(services.db, "SELECT * FROM studio.ratings") == []


@pytest.mark.parametrize("stars", [-1, 6, 2**31 - 1])
def test_there_are_one_to_five_stars(services, ana, portrait, stars):
    with pytest.raises(BadRequest) as refused:
        portraits.rate(portrait, ana, services, stars=stars)

    assert refused.value.field == "stars"


def test_a_stranger_rates_nothing(services, ben, customer, portrait):
    with pytest.raises(NotFound):
        portraits.rate(portrait, ben, services, stars=5)
    with pytest.raises(NotAllowed):
        portraits.rate(portrait, customer, services, stars=5)

    assert rows(services.db, "SELECT * FROM studio.ratings") == []


def test_a_portrait_that_the_platform_deletes_takes_its_ratings_along(services, ana, portrait):
    portraits.rate(portrait, ana, services, stars=5)

    rows(services.db, "DELETE FROM character_portraits WHERE id = %s RETURNING id", (portrait,))

    assert rows(services.db, "SELECT * FROM studio.ratings") == []


# ---- settings and asking again


def test_the_settings_of_a_portrait_are_what_it_was_asked_with(services, ana, portrait):
    [seen] = portraits.details([portrait], ana, services)

    assert seen.own_words == "by the sea"
    assert seen.presets == {"pose": "sitting", "expression": "smirk", "camera": "film"}
    assert seen.again is not None
    assert seen.again.model.display_name == seen.tile.model
    assert seen.cost_usd == 0
    assert not seen.matched


def test_looking_at_settings_asks_for_nothing(services, ana, portrait):
    before = one(services.db, "SELECT count(*) FROM jobs")

    portraits.details([portrait], ana, services)

    assert one(services.db, "SELECT count(*) FROM jobs") == before


def test_a_stranger_sees_no_settings(services, ben, portrait):
    with pytest.raises(NotFound):
        portraits.details([portrait], ben, services)


def test_regenerating_repeats_words_pose_and_presets(services, ana, portrait):
    asked = portraits.again(portrait, str(uuid4()), ana, services)

    said = the_job(services, asked.job_id)
    assert said["own_words"] == "by the sea"
    assert said["presets"] == {"pose": "sitting", "expression": "smirk", "camera": "film"}


def test_regenerating_twice_with_one_key_asks_once(services, ana, portrait):
    key = str(uuid4())

    first = portraits.again(portrait, key, ana, services)
    second = portraits.again(portrait, key, ana, services)

    assert (first.job_id, second.created) == (second.job_id, False)


def test_a_portrait_of_the_platform_is_asked_for_again_with_its_whole_prompt(services, ana, character):
    whole = "oil painting of an adult woman, harbour at dusk"
    portrait = one(
        services.db,
        """
        INSERT INTO character_portraits (character_id, image_url, prompt)
        VALUES (%s, %s, %s) RETURNING id
        """,
        (character.id, f"{LIBRARY}/{ana.id}/portraits/x.png", whole),
    )

    asked = portraits.again(portrait, str(uuid4()), ana, services)

    assert generation.outcome(asked.job_id, ana, services).job.prompt == whole


def test_a_certain_seed_is_sent_as_it_is_and_one_beyond_the_providers_field_is_refused(
    services, ana, character
):
    asked = generation.request(a_request(character, seed=1234), ana, services)
    with pytest.raises(BadRequest) as refused:
        generation.request(a_request(character, seed=2**31), ana, services)

    assert the_job(services, asked.job_id)["seed"] == "1234"
    assert refused.value.field == "seed"


# ---- many at once, and the bin


def test_several_portraits_go_into_the_bin_and_come_back_with_their_star(services, ana, character):
    made = [a_finished_portrait(ana, services, character).portrait_id for _ in range(3)]
    starred = next(t.id for t in portraits.tiles(character.id, ana, services) if t.primary)

    gone = portraits.delete_many(character.id, made, ana, services)
    binned = portraits.bin_of(character.id, ana, services)
    empty = portraits.grid(character.id, ana, services)
    back = portraits.restore_many(
        character.id, made, ana, services, primary=next(one for one in made if str(one) == starred)
    )

    assert set(gone) == set(back) == set(made)
    assert {(one.tile.id, one.days_left) for one in binned} == {(str(one), 7) for one in made}
    assert (empty.tiles, empty.total, empty.in_bin) == ((), 0, 3)
    assert [t.id for t in portraits.tiles(character.id, ana, services) if t.primary] == [starred]


def test_what_was_removed_more_than_seven_days_ago_is_not_in_the_bin(services, ana, character, portrait):
    portraits.delete(portrait, ana, services)

    rows(
        services.db,
        "UPDATE character_portraits SET deleted_at = now() - interval '8 days' WHERE id = %s RETURNING id",
        (portrait,),
    )

    assert portraits.bin_of(character.id, ana, services) == []
    assert portraits.grid(character.id, ana, services).in_bin == 0


def test_portraits_of_another_character_are_not_removed_with_these(services, ana, portrait):
    other = a_character(ana, services, name="Somebody Else")

    assert portraits.delete_many(other.id, [portrait], ana, services) == []

    assert one(services.db, "SELECT deleted_at FROM character_portraits") is None


def test_a_grid_is_read_from_its_beginning_and_says_how_many_there_are(services, ana, character):
    for _ in range(3):
        a_finished_portrait(ana, services, character)

    whole = portraits.grid(character.id, ana, services)
    part = portraits.grid(character.id, ana, services, limit=2)

    assert [tile.id for tile in part.tiles] == [tile.id for tile in whole.tiles][:2]
    assert (part.total, whole.total) == (3, 3)


def test_a_cancelled_picture_stays_in_the_grid_until_it_is_put_away(services, ana, character):
    asked = generation.request(a_request(character), ana, services)
    generation.cancel(asked.job_id, ana, services)

    [tile] = portraits.tiles(character.id, ana, services)
    generation.dismiss(asked.job_id, ana, services)

    assert (tile.status, tile.can_retry, tile.can_cancel) == ("cancelled", True, False)
    assert portraits.tiles(character.id, ana, services) == []


# ---- copies


def test_the_original_is_the_stored_file_byte_for_byte(services, ana, portrait):
    address = one(services.db, "SELECT image_url FROM character_portraits").removeprefix(f"{LIBRARY}/")

    copy = copies.copy_of(portrait, Kind.original, ana, services)

    assert copy.data == services.storage.get(LIBRARY, address)
    assert copy.name == f"Juniper Vale-{str(portrait)[:8]}.png"


def test_a_copy_with_settings_tells_them_and_keeps_the_pixels(services, ana, portrait):
    original = copies.copy_of(portrait, Kind.original, ana, services)

    copy = copies.copy_of(portrait, Kind.settings, ana, services)

    told = metadata.read(copy.data)
    assert told is not None
    assert "by the sea" in told.recipe.prompt
    assert dict(told.recipe.presets) == {"pose": "sitting", "expression": "smirk", "camera": "film"}
    assert told.recipe.portrait_id == str(portrait)
    assert Image.open(io.BytesIO(copy.data)).tobytes() == Image.open(io.BytesIO(original.data)).tobytes()


def test_a_copy_to_share_tells_only_that_a_model_made_it(services, ana, portrait):
    copy = copies.copy_of(portrait, Kind.share, ana, services)

    assert Origin.model.address.encode() in copy.data
    assert b"by the sea" not in copy.data
    assert str(portrait).encode() not in copy.data


@pytest.mark.parametrize("ending", ["avif", "webp", "jpg"])
def test_a_copy_tells_its_settings_whatever_kind_of_picture_it_is(services, ana, portrait, ending):
    address = one(services.db, "SELECT image_url FROM character_portraits").removeprefix(f"{LIBRARY}/")
    picture = Image.open(io.BytesIO(services.storage.get(LIBRARY, address))).convert("RGB")
    other, data = address.replace(".png", f".{ending}"), io.BytesIO()
    picture.save(data, {"jpg": "JPEG"}.get(ending, ending.upper()))
    services.storage.put(LIBRARY, other, data.getvalue(), "image/x")
    rows(services.db, "UPDATE character_portraits SET image_url = %s RETURNING id", (f"{LIBRARY}/{other}",))

    copy = copies.copy_of(portrait, Kind.settings, ana, services)

    told = metadata.read(copy.data)
    assert told is not None
    assert "by the sea" in told.recipe.prompt
    assert copy.name.rpartition(".")[2] == {"avif": "png"}.get(ending, ending)


def test_a_character_card_holds_the_character_and_no_id_of_ours(services, ana, character, portrait):
    copy = copies.copy_of(portrait, Kind.card, ana, services)

    read = card_files.read(copy.data, copy.name)
    assert read.card.name == character.name
    assert character.description in read.card.data["description"]
    assert str(ana.id).encode() not in copy.data
    assert str(character.id).encode() not in copy.data


def test_several_copies_come_as_one_archive_and_what_is_missing_is_named(services, ana, character, portrait):
    second = a_finished_portrait(ana, services, character).portrait_id
    gone = uuid4()

    with copies.archive([portrait, second, gone], Kind.original, ana, services) as packed:
        inside = zipfile.ZipFile(io.BytesIO(packed.read()))

    assert len([name for name in inside.namelist() if name.endswith(".png")]) == 2
    assert str(gone) in inside.read("not included.txt").decode()


def test_a_character_without_a_name_does_not_keep_the_cards_of_the_others_out(
    services, ana, character, portrait
):
    other = a_character(ana, services)
    nameless = a_finished_portrait(ana, services, other).portrait_id
    rows(services.db, "UPDATE characters SET name = '' WHERE id = %s RETURNING id", (other.id,))

    with copies.archive([nameless, portrait], Kind.card, ana, services) as packed:
        inside = zipfile.ZipFile(io.BytesIO(packed.read()))

    assert [name for name in inside.namelist() if name.endswith(".card.png")] != []
    assert "name" in inside.read("not included.txt").decode()


def test_a_picture_in_somebody_elses_folder_is_not_handed_out(services, ana, ben, portrait):
    rows(
        services.db,
        "UPDATE character_portraits SET image_url = %s RETURNING id",
        (f"{LIBRARY}/{ben.id}/portraits/his.png",),
    )

    with pytest.raises(NotAllowed):
        copies.copy_of(portrait, Kind.original, ana, services)


@pytest.mark.parametrize("kind", list(Kind))
def test_copies_are_handed_out_over_http_to_who_may_see_them(app, ana, ben, portrait, kind):
    address = f"/downloads/portraits/{portrait}?kind={kind}"

    hers, his, nobodys = (app.as_(person).get(address) for person in (ana, ben, None))

    assert hers.status_code == 200
    assert hers.headers["content-disposition"].startswith("attachment; filename*=UTF-8''Juniper%20Vale")
    assert (his.status_code, nobodys.status_code) == (404, 401)


def test_an_archive_is_handed_out_over_http(app, ana, portrait):
    answer = app.as_(ana).get("/downloads/portraits", params={"ids": str(portrait), "kind": "share"})
    wrong = app.as_(ana).get("/downloads/portraits", params={"ids": "x"})

    assert zipfile.ZipFile(io.BytesIO(answer.content)).testzip() is None
    assert (wrong.status_code, wrong.json()["field"]) == (400, "ids")


def test_an_uploaded_picture_tells_its_settings_and_is_not_kept(app, services, ana, portrait):
    data = copies.copy_of(portrait, Kind.settings, ana, services).data
    plain = copies.copy_of(portrait, Kind.share, ana, services).data
    before = sorted(services.settings.home.rglob("*.png"))
    client = app.as_(ana, **{"Content-Type": "image/png"})

    told = client.post("/recipes", content=data).json()["found"]
    nothing = client.post("/recipes", content=plain).json()["found"]

    assert (told["program"], told["presets"]["pose"]) == ("Portrait Studio", "sitting")
    assert nothing is None
    assert sorted(services.settings.home.rglob("*.png")) == before


def test_a_web_page_elsewhere_cannot_have_a_picture_read(app, ana):
    answer = app.as_(ana, **{"Content-Type": "text/plain"}).post("/recipes", content=b"x")

    assert answer.status_code == 415


def test_the_worker_lives_where_one_beats(services, ana, live_worker, eventually):
    eventually(lambda: generation.worker_lives(ana, services))

    work(services)


def test_no_worker_lives_where_none_was_started(services, ana):
    assert not generation.worker_lives(ana, services)
