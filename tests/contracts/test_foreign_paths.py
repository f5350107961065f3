"""A path that belongs to somebody else is refused and recorded wherever it is met (SPEC "Files"), and a loop of one person
fills no record.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from core import (
    attributes,
    characters,
    contact_sheets,
    copies,
    foreign_paths,
    generation,
    library,
    portraits,
    references,
    restock,
    reviews,
    scenes,
    stock,
)
from core.cards import exporting
from core.errors import NotAllowed, NotFound
from core.generation import Outcome
from core.library import Wanted
from core.services import Services
from core.storage import LIBRARY, REFERENCES
from core.values import Cell, Character, Person, Role
from tests.builders import a_character, a_finished_portrait, a_person, a_request, one, rows, work
from tests.contracts.stock_table import a_library_row, a_picture
from tests.contracts.test_contact_sheets import NOW, UTC
from tests.contracts.test_stock import open_finds

SENTENCE = "It is not yours."


@pytest.fixture
def work_of_ben(services, ben):
    """A character with a portrait, a library row and a scene, whose rows ben may write: the portrait's job."""
    character = a_character(ben, services, name="Barnaby Quill")
    done = a_finished_portrait(ben, services, character)
    with services.db.as_service() as conn:
        conn.execute(
            "INSERT INTO character_scenes (character_id, scene_name) VALUES (%s, 'At the pier')",
            (character.id,),
        )
    return character, done


def lead(services, path):
    """Every row that names a picture leads there; triggers, which keep links out, are not asked."""
    with services.db.as_service() as conn:
        conn.execute("SET LOCAL session_replication_role = replica")
        for statement in (
            "UPDATE characters SET image_url = %(address)s, reference_image_url = %(address)s, match_reference = true",
            "UPDATE character_portraits SET image_url = %(address)s, thumbnail_url = %(address)s",
            "UPDATE character_scenes SET image_url = %(address)s",
            "UPDATE user_library SET storage_path = %(path)s, thumbnail_path = %(path)s",
            "UPDATE attribute_images SET image_url = %(address)s",
        ):
            conn.execute(statement, {"path": path, "address": f"{LIBRARY}/{path}"})


def noted(services, person):
    found = rows(
        services.db,
        "SELECT row_id FROM studio.audit_events WHERE action = %s AND who = %s ORDER BY id",
        (foreign_paths.EVENT, person.id),
    )
    return [row_id for [row_id] in found]


@dataclass(frozen=True)
class His:
    """What ben has, and whose rows lead elsewhere."""

    character: Character
    done: Outcome
    person: Person
    services: Services

    @property
    def asker(self) -> tuple[Person, Services]:
        return self.person, self.services


def a_portrait_as_reference(his):
    character, portrait = his.character, his.done.portrait_id
    return references.pick_portrait(
        character.id, portrait, version=character.version, person=his.person, services=his.services
    )


REFUSED = {
    "copy": lambda his: copies.copy_of(his.done.portrait_id, copies.Kind.original, *his.asker),
    "copy_with_settings": lambda his: copies.copy_of(his.done.portrait_id, copies.Kind.settings, *his.asker),
    "card": lambda his: exporting.export(
        his.character.id, exporting.Kind.png, *his.asker, portrait_id=his.done.portrait_id
    ),
    "reference_of_a_request": lambda his: generation.preview(a_request(his.character), *his.asker),
    "portrait_as_reference": a_portrait_as_reference,
}
HIDDEN = {
    "answer_of_a_job": lambda his: [generation.outcome(his.done.job.id, *his.asker).image_link],
    "grid": lambda his: [tile.full_url for tile in portraits.tiles(his.character.id, *his.asker)],
    "list_of_characters": lambda his: [card.thumb_url or "" for card in characters.listing(*his.asker)],
    "library": lambda his: [item.url for item in library.page(Wanted(), *his.asker).items],
    "scenes": lambda his: [card.image_url for card in scenes.cards(his.character.id, *his.asker)],
}


def test_every_place_that_refuses_a_foreign_path_records_it_and_pages_show_a_gap(
    services, ana, ben, work_of_ben, monkeypatch
):
    monkeypatch.setattr(services.storage, "get", lambda *_: pytest.fail("it was read"))
    his, paths = His(*work_of_ben, ben, services), []
    for name, ask in (REFUSED | HIDDEN).items():
        paths.append(f"{ana.id}/portraits/{name}.png")
        lead(services, paths[-1])
        if name in REFUSED:
            with pytest.raises(NotAllowed) as refused:
                ask(his)
            assert refused.value.status == 403
        else:
            assert set(ask(his)) == {""}, name

    assert noted(services, ben) == [f"{LIBRARY}/{path}" for path in paths]


def test_an_archive_says_what_it_left_out_and_the_record_who_asked(services, ana, ben, work_of_ben):
    lead(services, f"{ana.id}/portraits/hers.png")

    with (
        pytest.raises(NotFound),
        copies.archive([work_of_ben[1].portrait_id], copies.Kind.original, ben, services),
    ):
        pass

    assert noted(services, ben) == [f"{LIBRARY}/{ana.id}/portraits/hers.png"]


def test_a_repair_and_the_matrix_record_what_they_leave_alone(services, ana, ben, work_of_ben):
    quinn, pia = a_person(services.db, "quinn", Role.qa), a_person(services.db, "pia", Role.product)
    attributes.generate(pia, services, cells=[Cell(category="body", value="Stocky", style="anime")])
    work(services)
    path = a_library_row(
        services, ben.id, work_of_ben[0].id, data=a_picture(1), name=f"{ana.id}/portraits/hers.png"
    )
    services.storage.put(LIBRARY, path, a_picture(2, side=300), "image/png")  # not what the row says
    stock.scan(services)
    [finding] = [one_of for one_of in open_finds(services) if one_of.path == path]

    with pytest.raises(NotAllowed):
        restock.mend(finding.id, quinn, services, why="Seen on the page.")
    with services.db.as_service() as conn:
        conn.execute("UPDATE attribute_images SET image_url = %s", (f"{REFERENCES}/{path}",))
    sheet = contact_sheets.gather(pia, services, now=NOW, zone=UTC, called=str)
    reviews.looks(quinn, services)

    assert noted(services, quinn) == [f"{LIBRARY}/{path}"]
    assert noted(services, pia) == [f"{REFERENCES}/{path}"]
    assert [cell for group in sheet.groups for cell in group.cells if cell.picture] == []


def test_a_signed_link_to_a_foreign_file_leaves_no_token_in_the_record(services, ana, ben, work_of_ben):
    hers = a_finished_portrait(ana, services, a_character(ana, services))

    with pytest.raises(NotAllowed):
        generation.preview(a_request(work_of_ben[0], reference=hers.image_link), ben, services)

    assert "token=" in hers.image_link
    assert noted(services, ben) == [f"{LIBRARY}/{hers.storage_path}"]
    event = one(
        services.db, "SELECT e::text FROM studio.audit_events e WHERE action = %s", (foreign_paths.EVENT,)
    )
    assert "token" not in event


def test_another_sites_picture_and_ones_own_workspace_are_nobodys_folder(services, ben, work_of_ben):
    """Rows of years ago hold links with tokens, and paths that name their bucket."""
    his = His(*work_of_ben, ben, services)
    links = (
        "https://old.example/object/sign/a.png?token=ey0.secret",
        f"workspace-temp/{ben.id}/temp/old.png",
    )

    for stored in links:
        with services.db.as_service() as conn:
            conn.execute("SET LOCAL session_replication_role = replica")
            conn.execute(
                "UPDATE character_portraits SET image_url = %s, thumbnail_url = %s", (stored, stored)
            )
            conn.execute("UPDATE user_library SET storage_path = %s, thumbnail_path = %s", (stored, stored))
        shown = [link for name in ("grid", "library", "answer_of_a_job") for link in HIDDEN[name](his)]
        assert {link.partition("?")[0] for link in shown} == {
            f"/files/{stored}" if stored.startswith("workspace-temp/") else ""
        }
        with pytest.raises(NotAllowed):
            foreign_paths.own((LIBRARY, links[0]), ben.id, ben, services, sentence=SENTENCE)

    assert noted(services, ben) == []


def refuse(path, person, services):
    with pytest.raises(NotAllowed):
        foreign_paths.refuse((LIBRARY, path), person, services, sentence=SENTENCE)


def test_the_record_stands_where_the_question_could_write_nothing(services, ana, ben):
    with services.db.as_reader(ben):
        refuse(f"{ana.id}/hers.png", ben, services)

    assert noted(services, ben) == [f"{LIBRARY}/{ana.id}/hers.png"]


def test_a_loop_of_one_person_fills_no_record_and_hides_nobody_else(services, ana, ben):
    """Also of several at once, and of another process, which remembers nothing."""

    def again(number):
        foreign_paths._note_once.cache_clear()
        refuse(f"{ana.id}/{number % 40}.png", ben, services)

    for _ in range(3):
        refuse(f"{ana.id}/0.png", ben, services)
    assert len(noted(services, ben)) == 1
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(again, range(120)))
    refuse(f"{ben.id}/his.png", ana, services)

    assert len(noted(services, ben)) == len(set(noted(services, ben))) == 30
    assert noted(services, ana) == [f"{LIBRARY}/{ben.id}/his.png"]
