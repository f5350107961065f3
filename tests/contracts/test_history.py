"""What a character was before: versions by field, merged for ten minutes, and had back."""

from __future__ import annotations

import pytest

from core import characters, history
from core.errors import Conflict, NotFound
from tests.builders import a_character, as_platform


def edit(character, person, services, **changes):
    return characters.save(character.id, changes, version=character.version, person=person, services=services)


def age_versions(services, minutes=11):
    """As if the latest edits had been made earlier."""
    with services.db.as_service() as conn:
        conn.execute("UPDATE studio.character_versions SET at = at - make_interval(mins => %s)", (minutes,))


def test_edits_within_ten_minutes_are_one_version(services, ana):
    character = a_character(ana, services, name="First")

    second = edit(character, ana, services, name="Second")
    edit(second, ana, services, name="Third", role="Baker")

    (version,) = history.versions(character.id, ana, services)
    assert version.changes == {"name": ("First", "Third"), "role": (None, "Baker")}
    assert (version.who, version.number) == (ana.id, 3)


def test_an_edit_that_was_taken_back_leaves_no_version(services, ana):
    character = a_character(ana, services, name="First")

    changed = edit(character, ana, services, name="Second")
    edit(changed, ana, services, name="First")

    assert history.versions(character.id, ana, services) == []


def test_later_edits_and_edits_of_others_are_versions_of_their_own(build, ana, ben):
    services = build(team_sharing=True)
    character = a_character(ana, services, name="First")
    second = edit(character, ana, services, name="Second")
    third = edit(second, ben, services, name="Third")
    age_versions(services)
    edit(third, ben, services, name="Fourth")

    versions = history.versions(character.id, ana, services)

    assert [one.changes["name"] for one in versions] == [
        ("Third", "Fourth"),
        ("Second", "Third"),
        ("First", "Second"),
    ]
    assert [one.who for one in versions] == [ben.id, ben.id, ana.id]


def test_the_platforms_edits_are_kept_too(services, ana, dsn):
    character = a_character(ana, services, name="First")

    with as_platform(dsn, "service_role") as conn:
        conn.execute("UPDATE characters SET persona = 'calm' WHERE id = %s", (character.id,))

    (version,) = history.versions(character.id, ana, services)
    assert (version.who, version.changes) == (None, {"persona": (None, "calm")})


def test_pictures_and_seeds_make_no_version(services, ana, dsn):
    character = a_character(ana, services)

    with as_platform(dsn, "service_role") as conn:
        conn.execute(
            "UPDATE characters SET image_url = 'user-library/x.png', seed_locked = 4 WHERE id = %s",
            (character.id,),
        )

    assert history.versions(character.id, ana, services) == []


def test_an_older_version_comes_back_as_a_new_edit(services, ana):
    character = a_character(ana, services, name="First", role="Baker")
    second = edit(character, ana, services, name="Second")
    age_versions(services)
    third = edit(second, ana, services, name="Third", role="Pilot")
    first_version = history.versions(character.id, ana, services)[-1]

    assert history.fields_at(character.id, first_version.id, ana, services) == {
        "name": "Second",
        "role": "Baker",
    }
    back = history.restore(
        character.id, first_version.id, version=third.version, person=ana, services=services
    )

    assert (back.name, back.role, back.version) == ("Second", "Baker", third.version + 1)


def test_one_field_alone_can_come_back(services, ana):
    character = a_character(ana, services, name="First", role="Baker")
    edit(character, ana, services, name="Second")
    version = history.versions(character.id, ana, services)[0]
    age_versions(services)
    third = edit(characters.load(character.id, ana, services), ana, services, name="Third", role="Pilot")

    back = history.restore(
        character.id, version.id, version=third.version, person=ana, services=services, fields=["role"]
    )

    assert (back.name, back.role) == ("Third", "Baker")


def test_a_version_comes_back_over_the_version_that_was_seen_only(services, ana):
    character = a_character(ana, services, name="First", role="Baker")
    edit(character, ana, services, name="Second")
    version = history.versions(character.id, ana, services)[0]
    age_versions(services)
    third = edit(characters.load(character.id, ana, services), ana, services, name="Third")
    edit(third, ana, services, role="Pilot")

    with pytest.raises(Conflict):
        history.restore(character.id, version.id, version=third.version, person=ana, services=services)


def test_versions_of_somebody_else_are_not_there(services, ana, ben):
    character = a_character(ana, services, name="First")
    edit(character, ana, services, name="Second")
    version = history.versions(character.id, ana, services)[0]

    with pytest.raises(NotFound):
        history.versions(character.id, ben, services)
    with pytest.raises(NotFound):
        history.fields_at(character.id, version.id, ben, services)


def test_a_long_history_is_read_in_pages(services, ana):
    character = a_character(ana, services, name="o")
    for number in range(1, 36):
        character = edit(character, ana, services, name="o" * (number + 1))
        age_versions(services)

    first = history.versions(character.id, ana, services)
    second = history.versions(character.id, ana, services, before=first[-1].id)

    assert (len(first), len(second)) == (history.PAGE, 5)
    assert first[0].changes["name"] == ("o" * 35, "o" * 36)
    assert second[-1].changes["name"] == ("o", "oo")
