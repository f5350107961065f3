"""The library: found by words and filters, in pages that do not slip, tagged and deleted in bulk."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest

from core import library
from core.errors import BadRequest, NotAllowed, PolicyRefused
from core.library import Wanted
from tests.builders import as_platform, one

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def save(
    dsn, owner, *, number=0, prompt="a calm portrait", tags=("character", "portrait"), at=None, **columns
):
    """A row as the platform writes it."""
    row = {
        "id": uuid4(), "user_id": owner.id, "asset_type": "image", "storage_path": f"{owner.id}/{number}.png",
        "mime_type": "image/png", "original_prompt": prompt, "tags": list(tags), "created_at": at or NOW,
        "content_category": "character", **columns,
    }  # fmt: skip
    names = ", ".join(row)
    holes = ", ".join(f"%({name})s" for name in row)
    with as_platform(dsn, "service_role") as conn:
        conn.execute(f"INSERT INTO user_library ({names}) VALUES ({holes})", row)
    return row["id"]


def found(wanted, person, services):
    return [item.id for item in library.page(wanted, person, services).items]


def test_words_are_found_in_prompt_tags_model_seed_and_name(services, ana, dsn):
    wanted = save(
        dsn, ana, prompt="a brass telescope", tags=["lighthouse"], model_used="fal-ai/flux/dev",
        generation_seed=4242, roleplay_metadata='{"character_name": "Juniper Vale", "type": "character_portrait"}',
    )  # fmt: skip
    save(dsn, ana, number=1, prompt="something else", tags=[])

    for words in (
        "brass telescope",
        "TELE",
        "lighthouse",
        "flux",
        "4242",
        "juniper",
        "vale brass",
        "“brass”, telescope!",
    ):
        assert found(Wanted(words=words), ana, services) == [wanted], words
    assert found(Wanted(words="telescope something"), ana, services) == []


@pytest.mark.parametrize(
    "words", ["' & |", "!!! :* \\", "a'b", "(", "x" * 3000, "\x00", "%_", "🙂", "\u202e", "a & b | !c:*"]
)
def test_any_words_can_be_looked_for(services, ana, dsn, words):
    save(dsn, ana)

    assert isinstance(found(Wanted(words=words), ana, services), list)


def test_filters_narrow_and_combine(services, ana, dsn):
    day = timedelta(days=1)
    old = save(dsn, ana, number=1, at=NOW - 3 * day, model_used="m1", generation_seed=1, tags=["sea"])
    new = save(dsn, ana, number=2, at=NOW, model_used="m2", generation_seed=2, tags=["sea", "dusk"])
    other = save(dsn, ana, number=3, at=NOW - day, tags=[], content_category="scene", roleplay_metadata="{}")

    assert found(Wanted(), ana, services) == [new, other, old]
    assert found(Wanted(only_characters=True), ana, services) == [new, old]
    assert found(Wanted(tag="sea"), ana, services) == [new, old]
    assert found(Wanted(tag="sea", model="m1"), ana, services) == [old]
    assert found(Wanted(seed=2), ana, services) == [new]
    assert found(Wanted(first_day=date(2026, 11, 19), last_day=date(2026, 11, 19)), ana, services) == [other]
    assert len(found(Wanted(first_day=date.min, last_day=date.max), ana, services)) == len(
        found(Wanted(), ana, services)
    )


@pytest.mark.parametrize(
    "columns",
    [
        {"tags": ["character"], "content_category": None},
        {"tags": [], "content_category": "character"},
        {"tags": None, "content_category": None, "roleplay_metadata": '{"type": "character_portrait"}'},
    ],
)
def test_the_characters_tab_knows_all_three_marks(services, ana, dsn, columns):
    marked = save(
        dsn, ana, **{"tags": [], **columns} if columns["tags"] is not None else {**columns, "tags": []}
    )

    assert found(Wanted(only_characters=True), ana, services) == [marked]


def test_pages_hold_every_row_once_also_while_rows_come_and_go(services, ana, dsn):
    same_moment = [save(dsn, ana, number=number) for number in range(25)]
    first = library.page(Wanted(), ana, services, limit=10)
    save(dsn, ana, number=99, at=NOW + timedelta(hours=1))
    library.delete([first.items[3].id], ana, services)

    second = library.page(Wanted(), ana, services, cursor=first.next_cursor, limit=10)
    third = library.page(Wanted(), ana, services, cursor=second.next_cursor, limit=10)

    read = [item.id for page in (first, second, third) for item in page.items]
    assert sorted(read) == sorted(same_moment)
    assert third.next_cursor == ""


@pytest.mark.parametrize("cursor", ["x", "1_2", "9" * 23 + "_" + "0" * 32, "_"])
def test_a_made_up_cursor_is_refused_in_words(services, ana, cursor):
    with pytest.raises(BadRequest, match="first page"):
        library.page(Wanted(), ana, services, cursor=cursor)


def test_a_count_beyond_a_thousand_says_so(services, ana, dsn):
    with as_platform(dsn, "service_role") as conn:
        conn.execute(
            "INSERT INTO user_library (user_id, asset_type, storage_path, mime_type)"
            " SELECT %s, 'image', %s || '/' || n, 'image/png' FROM generate_series(1, 1001) n",
            (ana.id, str(ana.id)),
        )

    assert library.count(Wanted(), ana, services) == "1,000+"
    assert library.count(Wanted(tag="none"), ana, services) == "0"


def test_many_pictures_are_tagged_at_once_and_keep_their_own_tags(services, ana, dsn):
    ids = [save(dsn, ana, number=number, tags=["sea", "old"]) for number in range(3)]

    changed = library.retag([*ids, uuid4()], ana, services, added=["dusk", "  sea "], removed=["old"])

    assert (set(changed.done), len(changed.missing)) == (set(ids), 1)
    assert [item.tags for item in library.page(Wanted(), ana, services).items] == [("sea", "dusk")] * 3


def test_deleted_pictures_lie_in_the_bin_and_come_back(services, ana, dsn):
    kept, gone = save(dsn, ana, number=1), save(dsn, ana, number=2)

    library.delete([gone], ana, services)
    after, binned = found(Wanted(), ana, services), found(Wanted(is_bin=True), ana, services)
    library.restore([gone], ana, services)

    assert (after, binned) == ([kept], [gone])
    assert set(found(Wanted(), ana, services)) == {kept, gone}
    assert one(services.db, "SELECT count(*) FROM studio.audit_events WHERE action LIKE 'library_%'") == 2


def test_links_lead_only_into_the_owners_folder(services, ana, ben, dsn):
    save(dsn, ana, storage_path=f"{ben.id}/his.png", thumbnail_path=f"user-library/{ana.id}/mine.webp")

    (item,) = library.page(Wanted(), ana, services).items

    assert item.url == ""
    assert f"/{ana.id}/mine.webp" in item.thumbnail_url


def test_somebody_elses_pictures_are_neither_shown_nor_changed(services, ana, ben, dsn):
    theirs = save(dsn, ana)

    assert found(Wanted(), ben, services) == []
    assert library.delete([theirs], ben, services).missing == (theirs,)
    assert library.retag([theirs], ben, services, added=["x"]).missing == (theirs,)
    assert found(Wanted(), ana, services) == [theirs]


def test_a_team_that_shares_sees_the_library_of_all(build, ana, ben, dsn):
    sharing = build(team_sharing=True)
    theirs = save(dsn, ana)

    assert found(Wanted(), ben, sharing) == [theirs]
    assert library.page(Wanted(), ben, sharing).items[0].mine is False


def test_a_customer_has_no_library_here(services, customer, dsn):
    save(dsn, customer)

    with pytest.raises(NotAllowed):
        library.page(Wanted(), customer, services)
    with pytest.raises(NotAllowed):
        library.delete([uuid4()], customer, services)


def test_tags_are_looked_at_by_the_policy_and_counted(services, ana, dsn):
    row = save(dsn, ana)

    with pytest.raises(PolicyRefused):
        library.retag([row], ana, services, added=["a 15-year-old"])
    with pytest.raises(BadRequest):
        library.retag([row], ana, services, added=["x" * 41])
    with pytest.raises(BadRequest):
        library.delete([], ana, services)
    with pytest.raises(BadRequest):
        library.delete([uuid4() for _ in range(501)], ana, services)


def test_the_platforms_longest_prompts_and_oddest_tags_are_still_saved(services, ana, dsn):
    chance = random.Random(7)
    prompt = " ".join(str(chance.random()) for _ in range(100_000))

    row = save(dsn, ana, prompt=prompt, tags=["x" * 5000, "", "{}", 'a"b'], roleplay_metadata="[1]")

    assert found(Wanted(), ana, services) == [row]
