"""Characters as editors work on them: every field, publishing, copies, the way back, and the question about ratings."""

import time
from uuid import uuid4

import pytest

from core import characters, history, policy
from core.characters import fields
from core.errors import BadRequest, Conflict, NotAllowed, NotFound, PolicyRefused
from core.values import Character, ContentRating
from tests.builders import DESCRIPTION, a_character, a_person, as_platform, one

VOICE = {
    "persona": "Dry and patient.\nBelieves that most problems are weather.",
    "personality_traits": "stubborn, kind, exact",
    "voice_tone": "playful",
    "mood": "mysterious",
    "first_message": "Mind the ninth step, it has opinions.",
    "alternate_greetings": ["Tea is on the left.", "You again.\nSit down."],
    "system_prompt": "Answer in riddles on Thursdays.",
    "forbidden_phrases": ["as an AI", "in conclusion"],
    "voice_examples": ["The lamp knows."],
}


def save(character, person, services, **changes):
    return characters.save(character.id, changes, version=character.version, person=person, services=services)


def shown(character: Character) -> dict[str, object]:
    values = {name: getattr(character, name) for name in VOICE}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def test_every_field_of_the_voice_is_saved_as_it_was_typed(services, ana):
    character = a_character(ana, services)

    saved = save(character, ana, services, **VOICE)

    assert shown(saved) == VOICE
    assert shown(characters.load(character.id, ana, services)) == VOICE
    assert saved.name == character.name


def test_a_voice_that_is_emptied_is_empty(services, ana):
    character = save(a_character(ana, services), ana, services, **VOICE)

    emptied = save(
        character,
        ana,
        services,
        **{name: [] if isinstance(value, list) else "" for name, value in VOICE.items()},
    )

    assert {value for value in shown(emptied).values() if not isinstance(value, list)} == {None}
    assert emptied.alternate_greetings == emptied.forbidden_phrases == emptied.voice_examples == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("persona", "p" * (fields.LONGEST_PROSE + 1)),
        ("voice_tone", "shouting"),
        ("mood", "hungry"),
        ("alternate_greetings", ["hello"] * 3 + [f"hello {number}" for number in range(21)]),
        ("forbidden_phrases", ["x" * 201]),
        ("voice_examples", "not a list"),
        ("image_url", "user-library/x.png"),
    ],
)
def test_what_a_field_cannot_hold_is_refused_with_its_name(services, ana, field, value):
    character = a_character(ana, services)

    with pytest.raises(BadRequest) as refused:
        save(character, ana, services, **{field: value})

    assert refused.value.field == field
    assert characters.load(character.id, ana, services).version == character.version


@pytest.mark.parametrize("field", [*fields.TEXTS, *fields.LISTS])
def test_the_policy_holds_in_every_field(services, ana, field):
    character = a_character(ana, services)
    words = "she is 15 years old"

    with pytest.raises(PolicyRefused) as refused:
        save(character, ana, services, **{field: [words] if field in fields.LISTS else words})

    assert refused.value.field == field
    assert "15" not in refused.value.sentence


@pytest.mark.parametrize(
    "text", ["a\x00b", "half \ud83d of a pair", "\u202eright to left", "\U0001f469\u200d\U0001f680" * 400]
)
def test_odd_characters_are_kept_where_postgres_can_keep_them(services, ana, text):
    character = a_character(ana, services)

    saved = save(character, ana, services, persona=text)

    assert saved.persona == text.replace("\x00", "").replace("\ud83d", "")


def test_a_ready_character_is_published_and_withdrawn(services, ana):
    character = a_character(ana, services)

    public = characters.publish(character.id, version=character.version, person=ana, services=services)
    private = characters.unpublish(character.id, version=public.version, person=ana, services=services)

    assert (public.is_public, private.is_public) == (True, False)


@pytest.mark.parametrize(
    ("values", "field"),
    [({"name": " "}, "name"), ({"description": "Too short."}, "description")],
)
def test_an_unready_draft_is_not_published_by_any_way(services, ana, values, field):
    character = a_character(ana, services, **values)

    for change in ({"is_public": True}, {"is_public": True, "role": "Baker"}):
        with pytest.raises(BadRequest) as refused:
            save(character, ana, services, **change)
        assert (refused.value.field, refused.value.reason) == (field, "NOT_READY")

    assert not characters.load(character.id, ana, services).is_public


def test_what_is_missing_may_come_with_the_publishing(services, ana):
    character = a_character(ana, services, name="")

    saved = save(character, ana, services, name="Juniper", is_public=True)

    assert saved.is_public


def test_a_text_of_the_platform_that_breaks_the_policy_is_not_published(services, ana, dsn):
    character = a_character(ana, services)
    with as_platform(dsn, "service_role") as conn:
        conn.execute("UPDATE characters SET persona = 'a girl of 14' WHERE id = %s", (character.id,))
    standing = characters.load(character.id, ana, services)

    [failed] = [one for one in characters.checks(standing, services) if one.needed and not one.passed]

    assert failed.field == "persona"
    assert policy.describes_minor(standing.persona or "")
    assert "14" not in failed.sentence


def test_advice_does_not_stand_in_the_way(services, ana):
    checked = characters.checks(a_character(ana, services), services)

    assert [check.field for check in checked if not check.passed] == ["portrait", "first_message"]
    assert not any(check.needed for check in checked if not check.passed)


def test_a_copy_holds_the_words_and_is_private(services, ana):
    original = save(a_character(ana, services), ana, services, **VOICE)
    characters.publish(original.id, version=original.version, person=ana, services=services)

    copy = characters.duplicate(original.id, ana, services)

    assert copy.name == "Juniper Vale (copy)"
    assert (copy.description, shown(copy)) == (DESCRIPTION, VOICE)
    assert (copy.is_public, copy.image_url, copy.user_id) == (False, None, ana.id)


def test_a_copy_of_a_long_name_fits_and_leaves_out_what_breaks_our_rules(services, ana, dsn):
    original = a_character(ana, services, name="N" * 50)
    with as_platform(dsn, "service_role") as conn:
        conn.execute("UPDATE characters SET description = repeat('long ', 300), role = 'Baker'")

    copy = characters.duplicate(original.id, ana, services)

    assert copy.name == "N" * 43 + " (copy)"
    assert (copy.description, copy.role) == ("", "Baker")


def test_a_deleted_character_is_gone_and_comes_back_as_it_was(services, ana, dsn):
    character = a_character(ana, services)
    characters.publish(character.id, version=character.version, person=ana, services=services)

    was_public = characters.delete(character.id, ana, services)

    assert was_public
    assert characters.listing(ana, services) == []
    with pytest.raises(NotFound):
        characters.load(character.id, ana, services)
    with as_platform(dsn, "anon") as conn:
        assert conn.execute("SELECT count(*) FROM characters").fetchone() == (0,)

    back = characters.restore(character.id, ana, services, public=was_public)

    assert (back.name, back.is_public) == (character.name, True)
    assert one(services.db, "SELECT count(*) FROM studio.audit_events WHERE action LIKE 'character_%%'") == 2


def test_a_restored_character_that_is_not_ready_any_more_stays_private(services, ana, dsn):
    character = a_character(ana, services)
    characters.delete(character.id, ana, services)
    with as_platform(dsn, "service_role") as conn:
        conn.execute("UPDATE characters SET description = 'short'")

    assert not characters.restore(character.id, ana, services, public=True).is_public


def test_strangers_and_customers_neither_copy_nor_delete(services, ana, ben, customer):
    character = a_character(ana, services)
    qa = a_person(services.db, "quentin", "qa")

    for person, error in ((ben, NotFound), (customer, NotAllowed), (qa, NotAllowed)):
        for act in (characters.duplicate, characters.delete, characters.restore):
            with pytest.raises(error):
                act(character.id, person, services)
    with pytest.raises(NotFound):
        characters.delete(uuid4(), ana, services)

    assert characters.load(character.id, ana, services).name == character.name


def adopted(services, person, dsn):
    """A character as the platform writes one: rated nsfw because that was its default."""
    with as_platform(dsn, "service_role") as conn:
        row = conn.execute(
            "INSERT INTO characters (user_id, name, description, content_rating) VALUES (%s, 'Old', %s, 'nsfw')"
            " RETURNING id",
            (person.id, DESCRIPTION),
        ).fetchone()
    return characters.load(row[0], person, services)


@pytest.mark.parametrize("answer", list(ContentRating))
def test_an_adopted_rating_is_asked_about_once(services, ana, dsn, answer):
    character = adopted(services, ana, dsn)
    assert characters.asks_for_rating(character, services)

    settled = characters.settle_rating(
        character.id, answer, version=character.version, person=ana, services=services
    )

    assert settled.content_rating == answer
    assert not characters.asks_for_rating(settled, services)
    assert not characters.asks_for_rating(characters.load(character.id, ana, services), services)


def test_a_rating_that_was_chosen_here_is_not_asked_about(services, ana):
    character = a_character(ana, services)

    chosen = save(character, ana, services, content_rating="nsfw")

    assert not characters.asks_for_rating(chosen, services)


def test_where_adult_pictures_are_allowed_nothing_is_asked(build, ana, dsn):
    open_house = build(allow_nsfw=True)

    assert not characters.asks_for_rating(adopted(open_house, ana, dsn), open_house)


def test_an_unanswered_rating_is_not_published(services, ana, dsn):
    character = adopted(services, ana, dsn)

    with pytest.raises(BadRequest) as refused:
        characters.publish(character.id, version=character.version, person=ana, services=services)

    assert refused.value.field == "content_rating"


def test_an_answer_over_an_older_version_is_a_conflict(services, ana, dsn):
    character = adopted(services, ana, dsn)
    save(character, ana, services, role="Baker")

    with pytest.raises(Conflict):
        characters.settle_rating(
            character.id, ContentRating.sfw, version=character.version, person=ana, services=services
        )


def test_history_restores_the_new_fields_too(services, ana):
    character = save(a_character(ana, services), ana, services, **VOICE)
    [version] = history.versions(character.id, ana, services)

    assert set(version.changes) == set(VOICE)
    assert version.changes["alternate_greetings"] == ([], VOICE["alternate_greetings"])


def test_five_thousand_characters_are_listed_and_searched_in_a_moment(services, ana):
    with services.db.as_service() as conn:
        conn.execute(
            "INSERT INTO public.characters (user_id, name, description, updated_at)"
            " SELECT %s, 'Person ' || n, 'x', now() - n * interval '1 minute' FROM generate_series(1, 5000) n",
            (ana.id,),
        )

    began = time.monotonic()
    first = characters.listing(ana, services)
    second = characters.listing(ana, services, after=(first[-1].updated_at, first[-1].id))
    found = characters.listing(ana, services, search="person 4999")
    seconds = time.monotonic() - began

    assert (len(first), len(second)) == (50, 50)
    assert [card.name for card in second[:2]] == ["Person 51", "Person 52"]
    assert [card.name for card in found] == ["Person 4999"]
    assert seconds < 3  # a scan that grows with the square would take minutes; the bench has the budget
