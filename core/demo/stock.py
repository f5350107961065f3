"""The library's rows against its objects: what does not fit in either direction, and what only looks so. The platform's own
pictures are here too.
"""

from __future__ import annotations

import io
import os
from datetime import UTC, datetime, timedelta

from PIL import Image

from core import autosave, characters, generation, images, library, portraits, proof
from core.db import demo
from core.demo.cast import ADA, BRUNO, CASS, INES, VELVET, the_id, the_job
from core.demo.manifest import Page, Planted, Repair
from core.demo.unsaved import SIGNED, signed_until
from core.demo.workshop import SIZE, Workshop
from core.errors import StudioError
from core.library import Wanted
from core.providers.sketch_drawing import PASSES, Drawing
from core.storage import LIBRARY, REFERENCES, WORKSPACE
from core.values import JobId

_SAME_SEED = 424_242


def plant(workshop: Workshop) -> None:
    """Everything the scan of the library is for, but what unsaved.py has broken already (it is noted here again)."""
    _again(workshop)
    _objects_without_row(workshop)
    _doubles(workshop)
    _platform(workshop)
    _links(workshop)


def _plant(workshop: Workshop, word: str, where: tuple[str, object], says: str, repair: Repair) -> None:
    workshop.plant(f"library.{word}", Page.library, where, says, repair)


_SEEN_TWICE = {
    "OBJECT_MISSING": "row_without_object",
    "SIZE_DIFFERS": "size_differs",
    "HASH_DIFFERS": "hash_differs",
    "THUMBNAIL_MISSING": "thumbnail_missing",
}


def _again(workshop: Workshop) -> None:
    """What the seven checks find of a portrait's object, a scan of the library finds too."""
    broken: list[Planted] = [one for one in workshop.planted if one.word in _SEEN_TWICE]
    for one in broken:
        workshop.plant(
            f"library.{_SEEN_TWICE[one.word]}",
            Page.library,
            ("user_library", one.job),
            "",
            Repair.repair_autosave,
            job=one.job_id,
        )


def drawing(name: str) -> bytes:
    """A picture of Sketch, the same for the same name."""
    made = Drawing(f"an adult person, {name}", the_id(name).int % 2**31, SIZE)
    for _ in PASSES:
        made.next_pass()
    return made.png()


def _objects_without_row(workshop: Workshop) -> None:
    """One nobody knows, and one whose job is known and whose rows were lost."""
    storage, hero = workshop.services.storage, workshop.characters["odalys"]
    stray = f"{ADA.id}/portraits/{hero}/{the_id('stray')}.png"
    storage.put(LIBRARY, stray, drawing("a stranger in the doorway"), "image/png")
    _plant(workshop, "object_without_row", ("object", f"{LIBRARY}/{stray}"), "no row", Repair.person)
    forgotten = f"{ADA.id}/{hero}/{the_id('forgotten').hex}.png"
    storage.put(REFERENCES, forgotten, drawing("a forgotten reference"), "image/png")
    for bucket, path in ((LIBRARY, stray), (REFERENCES, forgotten)):
        _grow_old(workshop, bucket, path)
    where = ("object", f"{REFERENCES}/{forgotten}")
    _plant(workshop, "object_without_row", where, "no row", Repair.person)


def _grow_old(workshop: Workshop, bucket: str, path: str) -> None:
    """Where the store is a folder, an object is as old as its story: a scan leaves fresh ones alone."""
    place = workshop.services.settings.home / "objects" / bucket / path
    if place.is_file():
        long_ago = (workshop.now - timedelta(days=3)).timestamp()
        os.utime(place, (long_ago, long_ago))


def _doubles(workshop: Workshop) -> None:
    """The same bytes twice, the same picture packed anew, and two of one kind that are not the same."""
    first = workshop.make("perpetua", "among the hives", model="sketch", seed=_SAME_SEED)
    second = workshop.make("perpetua", "among the hives", model="sketch", seed=_SAME_SEED)
    workshop.stand_ins["fal"].is_repacked = True
    packed = workshop.make("perpetua", "among the hives", seed=_SAME_SEED)
    workshop.stand_ins["fal"].is_repacked = False
    near = workshop.make("perpetua", "among the hives", model="sketch", seed=_SAME_SEED + 1)
    with workshop.before_the_studio() as conn:
        for hours, job_id in ((29, first), (28, second), (27, packed), (26, near)):
            demo.date_job(conn, job_id, asked_at=workshop.ago(hours=hours), seconds=5)
    _double(workshop, "duplicate", second, "same")
    _double(workshop, "look_alike", packed, "alike")
    why = "The same words and another seed: alike, and not the same picture."
    workshop.clear("library.near", ("user_library", near), why, job=near)
    why = "The workspace's copy and the library's are the same bytes, as they should be."
    workshop.clear("library.workspace_copy", ("user_library", near), why, job=near)


def _double(workshop: Workshop, word: str, job_id: JobId, says: str) -> None:
    workshop.plant(f"library.{word}", Page.library, ("user_library", job_id), says, Repair.person, job=job_id)


# -- the platform's pictures ------------------------------------------------------------------------------------------


def _platform(workshop: Workshop) -> None:
    """A customer's characters: one rated nsfw by the old default, one whose pictures came the platform's ways."""
    with workshop.on_the_platform() as conn:
        words = (
            "Sings in the foyer of a cinema that closed long ago, and sells very good popcorn all the same."
        )
        demo.platform_character(
            conn, VELVET, CASS.id, name="Velvet Nocturne", description=words, rating="nsfw"
        )
        words = (
            "Sells maps of places that moved. Writes the new address on the back, in pencil, for a small fee."
        )
        demo.platform_character(conn, INES, CASS.id, name="Ines Calloway", description=words, rating="sfw")
    why = "Rated nsfw by the old default; it generates as sfw and asks its owner once."
    workshop.clear("policy.adopted_rating", ("characters", VELVET), why)
    days = {"direct": 12.0, "form": 9.0, "blank": 3.0, "corrupt": 2.0, "well": 1.0}
    path = f"{CASS.id}/portraits/{INES}/{the_job('direct')}.png"
    _platform_portrait(
        workshop, "direct", drawing("maps"), path, workshop.ago(days=days["direct"]), whole=False
    )
    why = "The platform's direct flow: no workspace result and no library row by design."
    workshop.clear("autosave.OLDER_FLOW", ("jobs", the_job("direct")), why, job=the_job("direct"))
    pictures = {
        "form": drawing("maps rolled up"),
        "blank": _blank(),
        "corrupt": _corrupt(),
        "well": drawing("a globe"),
    }
    for name, data in pictures.items():
        path = f"{CASS.id}/{the_job(name)}_{INES}.png"
        _platform_portrait(workshop, name, data, path, workshop.ago(days=days[name]), whole=True)
    form = the_job("form")
    why = "The platform's own path form is read and never rewritten."
    workshop.clear("library.platform_path", ("user_library", form), why, job=form)
    for name, says in (("blank", "one colour"), ("corrupt", "cannot be read")):
        _double(workshop, name, the_job(name), says)
    _illegal_move(workshop, the_job("well"))


def _platform_portrait(
    workshop: Workshop, name: str, data: bytes, path: str, at: datetime, *, whole: bool
) -> None:
    """What the platform leaves behind; `whole`: with its workspace result and its library row."""
    storage, job_id, size = workshop.services.storage, the_job(name), len(data)
    storage.put(LIBRARY, path, data, "image/png")
    thumbnail = images.read_picture(drawing(name)).thumbnail
    storage.put(LIBRARY, f"{path.rpartition('.')[0]}.thumb.webp", thumbnail, "image/webp")
    with workshop.on_the_platform() as conn:
        about = {"character_id": str(INES), "character_name": "Ines Calloway"}
        demo.platform_job(conn, job_id, CASS.id, status="completed", asked_at=at, metadata=about)
        if whole:
            lies = f"{CASS.id}/{job_id}_{int(at.timestamp() * 1000)}.png"
            storage.put(WORKSPACE, lies, data, "image/png")
            demo.platform_asset(conn, job_id, CASS.id, path=lies, size=size, at=at)
            demo.platform_library_row(conn, CASS.id, INES, path=path, size=size, at=at)
        demo.platform_picture(conn, INES, path)


def _blank() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (SIZE.width, SIZE.height), "black").save(out, "PNG")
    return out.getvalue()


def _corrupt() -> bytes:
    whole = drawing("a torn map")
    return whole[: len(whole) // 3]


def _illegal_move(workshop: Workshop, job_id: JobId) -> None:
    with workshop.on_the_platform() as conn:
        demo.move_back(conn, job_id)
    says = "tried to move this job"
    where = ("jobs", job_id)
    workshop.plant("findings.job.illegal_move", Page.findings, where, says, Repair.nobody, job=job_id)


# -- stored links -----------------------------------------------------------------------------------------------------


def _links(workshop: Workshop) -> None:
    """A link that is dead, one that dies next year, and one that leads to a provider."""
    hero, keeper = workshop.characters["odalys"], workshop.characters["gustav"]
    dead = SIGNED.format(path="odalys.png", token=signed_until(datetime(2025, 1, 1, tzinfo=UTC)))
    fresh = SIGNED.format(path="gustav.png", token=signed_until(workshop.now + timedelta(days=200)))
    with workshop.on_the_platform() as conn:
        demo.set_preview(conn, hero, dead)
        demo.set_preview(conn, keeper, fresh)
        demo.set_reference(conn, VELVET, "https://fal.media/files/demo/velvet.png")
    _plant(workshop, "link_dead", ("characters", hero), "dead", Repair.person)
    _plant(workshop, "link_signed", ("characters", keeper), "ends", Repair.person)
    _plant(workshop, "link_external", ("characters", VELVET), "fal.media", Repair.person)


# -- what only looks wrong --------------------------------------------------------------------------------------------


def innocents(workshop: Workshop) -> None:
    """Removed on purpose, in the bin, of a removed character, cancelled and come anyway, being saved this moment."""
    _removed(workshop)
    _binned(workshop)
    _character_removed(workshop)
    _came_anyway(workshop)
    _small_thumbnail(workshop)


def _removed(workshop: Workshop) -> None:
    job_id = workshop.make("odalys", "eyes closed", model="flux")
    portraits.delete(workshop.portrait_of(job_id), ADA, workshop.services)
    why = "Its owner removed this portrait on purpose; nothing brings it back."
    workshop.clear("autosave.REMOVED", ("jobs", job_id), why, job=job_id)


def _binned(workshop: Workshop) -> None:
    job_id = workshop.make("mandy-too", "looking for her keys", model="flux")
    wanted = Wanted(character_id=workshop.characters["mandy-too"])
    newest = library.page(wanted, BRUNO, workshop.services).items[0]
    library.delete([newest.id], BRUNO, workshop.services)
    why = "Its library picture is in the bin, put there by its owner."
    workshop.clear("library.binned", ("user_library", newest.id), why, job=job_id)


def _character_removed(workshop: Workshop) -> None:
    gone = workshop.characters["halloran"]
    job_id = workshop.make("halloran", "waving from above", model="sketch")
    characters.delete(gone, ADA, workshop.services)
    why = "Its character was removed by its owner."
    workshop.clear("autosave.CHARACTER_REMOVED", ("jobs", job_id), why, job=job_id)


def _came_anyway(workshop: Workshop) -> None:
    job_id = workshop.ask("gustav", "no, without the hat", model="flux")
    workshop.send(workshop.claim(job_id), receipt=True)
    generation.cancel(job_id, BRUNO, workshop.played)
    workshop.carry(job_id)
    autosave.save(job_id, workshop.played)
    workshop.take_entries(job_id)
    why = "Cancelled, and its picture came anyway: it is saved, and never primary by itself."
    workshop.clear("autosave.NO_PRIMARY_WANTED", ("jobs", job_id), why, job=job_id)


def _small_thumbnail(workshop: Workshop) -> None:
    job_id = workshop.make("perpetua", "with the smoker", model="flux")
    facts, storage = proof.look(job_id, workshop.services), workshop.services.storage
    if facts is None or facts.thumbnail_path is None:
        raise StudioError("The demo world lost one of its own pictures. This is a fault of the studio.")
    out = io.BytesIO()
    with Image.open(io.BytesIO(storage.get(LIBRARY, facts.thumbnail_path))) as image:
        image.resize((image.width // 2, image.height // 2)).save(out, "WEBP")
    storage.put(LIBRARY, facts.thumbnail_path, out.getvalue(), "image/webp")
    why = "An older, smaller thumbnail: made anew only where it is missing."
    workshop.clear("library.small_thumbnail", ("user_library", job_id), why, job=job_id)


def being_saved(workshop: Workshop) -> None:
    """Completed this moment; the entry that saves it stands in the queue."""
    job_id = workshop.ask("odalys", "just now", model="sketch")
    workshop.carry(job_id)
    why = "It was completed a moment ago and is being saved."
    workshop.clear("autosave.BEING_SAVED", ("jobs", job_id), why, job=job_id)
