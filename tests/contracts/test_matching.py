"""The "Mandy" story in every variant: a portrait that was asked for before its character existed."""

from dataclasses import dataclass, field

import pytest

from core import matching, recovery
from core.errors import BadRequest, Conflict, NotAllowed
from core.recovery import Action
from core.values import Role
from tests import builders
from tests.emulator.pictures import portrait

NAME = "Mandy"


@dataclass(frozen=True)
class Story:
    """`made`: characters as (name, seconds after the job); `key`: where the job holds the name."""

    made: tuple[tuple[str, int], ...]
    saved_to: int | None  # which of them, None: nobody
    asks_qa: bool = False
    key: str = "character_name"
    said: str = NAME
    renamed: dict[int, str] = field(default_factory=dict)
    renamed_ago: int = 3600  # seconds
    shows_the_picture: int | None = None


STORIES = {
    "the character comes 25 s later": Story(made=((NAME, 25),), saved_to=0),
    "the name stands under the other key": Story(made=((NAME, 25),), saved_to=0, key="characterName"),
    "in another case": Story(made=(("mANDY", 25),), saved_to=0),
    "with spaces around it": Story(made=((NAME, 25),), saved_to=0, said="  Mandy "),
    "with a tab, a line's end and a hard space around it": Story(
        made=(("\tMandy\u00a0", 25),), saved_to=0, said="\u00a0Mandy \n"
    ),
    "there is no such character": Story(made=(("Bruno", 25),), saved_to=None),
    "an older one of that name is never guessed": Story(made=((NAME, -500),), saved_to=None, asks_qa=True),
    "an older and a newer one: the newer": Story(made=((NAME, -500), (NAME, 25)), saved_to=1),
    "two newer ones of that name": Story(made=((NAME, 25), (NAME, 40)), saved_to=None, asks_qa=True),
    "renamed to it an hour ago": Story(made=(("Draft", 25),), renamed={0: NAME}, saved_to=0),
    "renamed to it just now": Story(made=(("Draft", 25),), renamed={0: NAME}, renamed_ago=5, saved_to=None),
    "renamed away from it": Story(made=((NAME, 25),), renamed={0: "Bruno"}, saved_to=None),
    "its image names the job, whatever it is called": Story(
        made=((NAME, 25), ("Bruno", -500)), shows_the_picture=1, saved_to=1
    ),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_the_mandy_story(services, ana, story: Story):
    job_id = a_nameless_job(services, ana, story)
    made = [a_character(services, ana, name, after) for name, after in story.made]
    for place, name in story.renamed.items():
        rename(services, made[place], name, ago=story.renamed_ago)
    if story.shows_the_picture is not None:
        show_picture(services, ana, made[story.shows_the_picture], job_id)

    recovery.recover(services)
    builders.work(services)

    owner = builders.rows(
        services.db, "SELECT character_id FROM character_portraits WHERE job_id = %s", [job_id]
    )
    asked = builders.rows(services.db, "SELECT 1 FROM studio.findings WHERE rule = 'job.which_character'")
    assert [row[0] for row in owner] == ([made[story.saved_to]] if story.saved_to is not None else [])
    assert bool(asked) == story.asks_qa


def test_a_new_character_is_matched_at_once_without_recovery(services, ana):
    job_id = a_nameless_job(services, ana, Story(made=(), saved_to=None))

    character = builders.a_character(ana, services, name=NAME)
    builders.work(services)

    found = builders.rows(
        services.db, "SELECT character_id FROM character_portraits WHERE job_id = %s", [job_id]
    )
    assert [row[0] for row in found] == [character.id]


def test_somebody_elses_character_of_that_name_is_no_match(services, ana, ben):
    job_id = a_nameless_job(services, ana, Story(made=(), saved_to=None))

    builders.a_character(ben, services, name=NAME)
    recovery.recover(services)
    builders.work(services)

    assert builders.rows(services.db, "SELECT 1 FROM character_portraits WHERE job_id = %s", [job_id]) == []


def test_a_second_look_finds_nothing_left_to_do(services, ana):
    a_nameless_job(services, ana, STORIES["two newer ones of that name"])
    for name, after in STORIES["two newer ones of that name"].made:
        a_character(services, ana, name, after)
    recovery.recover(services)
    builders.work(services)

    again = recovery.recover(services)

    assert [step for step in again if step.action is Action.match] == []


def test_an_empty_name_does_not_hide_the_name_under_the_other_key(services, ana):
    job_id = a_nameless_job(services, ana, Story(made=(), saved_to=None, key="characterName"))
    with services.db.as_service() as conn:
        conn.execute(
            """UPDATE jobs SET metadata = metadata || '{"character_name": ""}' WHERE id = %s""", [job_id]
        )
    made = a_character(services, ana, NAME, 25)

    builders.work(services)

    assert owner_of(services, job_id) == made


def test_recovery_finds_a_character_by_its_picture_though_no_name_fits(services, ana):
    job_id = a_nameless_job(services, ana, Story(made=(), saved_to=None))
    bruno = a_character(services, ana, "Bruno", -500)
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE characters SET reference_image_url = %s WHERE id = %s",
            [f"workspace-temp/{ana.id}/{job_id}_1760000000000.png", bruno],
        )
        conn.execute("DELETE FROM studio_queue.pgqueuer")

    steps = recovery.recover(services)
    builders.work(services)

    assert [(step.job_id, step.action) for step in steps] == [(job_id, Action.match)]
    assert owner_of(services, job_id) == bruno


def test_qa_decides_between_two_of_a_name_and_the_portrait_is_saved(services, ana, ben):
    quentin = builders.a_person(services.db, "quentin", Role.qa)
    job_id = a_nameless_job(services, ana, STORIES["two newer ones of that name"])
    _, second = (a_character(services, ana, NAME, after) for after in (25, 40))
    foreign = a_character(services, ben, NAME, 25)
    builders.work(services)

    with pytest.raises(NotAllowed):
        matching.decide(job_id, second, ana, services)
    with pytest.raises(BadRequest):
        matching.decide(job_id, foreign, quentin, services)
    matching.decide(job_id, second, quentin, services)
    builders.work(services)

    assert owner_of(services, job_id) == second
    assert mended(services, job_id) == [(quentin.id,)]
    with pytest.raises(Conflict):
        matching.decide(job_id, foreign, quentin, services)


def test_when_only_one_of_a_name_is_left_recovery_answers_for_qa(services, ana):
    job_id = a_nameless_job(services, ana, STORIES["two newer ones of that name"])
    first, second = (a_character(services, ana, NAME, after) for after in (25, 40))
    builders.work(services)
    with services.db.as_service() as conn:
        conn.execute("UPDATE characters SET deleted_at = now() WHERE id = %s", [first])

    recovery.recover(services)
    builders.work(services)

    assert owner_of(services, job_id) == second
    assert mended(services, job_id) == [(None,)]


def owner_of(services, job_id):
    [[owner]] = builders.rows(
        services.db, "SELECT character_id FROM character_portraits WHERE job_id = %s", [job_id]
    )
    return owner


def mended(services, job_id):
    """Who answered the question which character it is."""
    return builders.rows(
        services.db,
        "SELECT mended_by FROM studio.findings WHERE rule = 'job.which_character' AND row_id = %s"
        " AND mended_at IS NOT NULL",
        [str(job_id)],
    )


def a_nameless_job(services, person, story):
    """The platform's job, ten minutes old, completed, its picture in temporary storage."""
    job_id = builders.one(
        services.db,
        """
        INSERT INTO jobs (user_id, job_type, status, metadata, created_at)
        VALUES (%s, 'fal_image', 'processing', jsonb_build_object('destination', 'character_portrait', %s::text, %s::text),
                now() - interval '10 minutes') RETURNING id
        """,
        [person.id, story.key, story.said],
    )
    path = f"{person.id}/{job_id}_1760000000000.png"
    services.storage.put("workspace-temp", path, portrait("mandy", 64, 64, "png"), "image/png")
    with services.db.as_service() as conn:
        conn.execute(
            "INSERT INTO workspace_assets (user_id, job_id, asset_type, temp_storage_path, mime_type)"
            " VALUES (%s, %s, 'image', %s, 'image/png')",
            [person.id, job_id, path],
        )
    return job_id


def a_character(services, person, name, after):
    """A character made so many seconds after the job."""
    return builders.one(
        services.db,
        """
        INSERT INTO characters (user_id, name, description, created_at)
        VALUES (%s, %s, 'Somebody invented.', now() - interval '10 minutes' + make_interval(secs => %s)) RETURNING id
        """,
        [person.id, name, after],
    )


def rename(services, character, name, *, ago):
    with services.db.as_service() as conn:
        conn.execute("UPDATE characters SET name = %s WHERE id = %s", [name, character])
        conn.execute("ALTER TABLE characters DISABLE TRIGGER note_name")
        conn.execute(
            "UPDATE characters SET named_at = now() - make_interval(secs => %s) WHERE id = %s",
            [ago, character],
        )
        conn.execute("ALTER TABLE characters ENABLE TRIGGER note_name")


def show_picture(services, person, character, job_id):
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE characters SET image_url = %s WHERE id = %s",
            [f"user-library/{person.id}/{job_id}_{character}.png", character],
        )
