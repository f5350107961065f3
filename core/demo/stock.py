"""The library's rows against its objects: what does not fit in either direction, and what only looks so. The platform's own
pictures are here too.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from PIL import Image

from core import autosave, characters, generation, images, library, portraits, proof
from core.audit.autosave import Reason
from core.db import activity, demo
from core.demo.cast import ADA, BRUNO, CASS, CAST, INES, PEOPLE, VELVET, the_id, the_job
from core.demo.manifest import Page, Repair
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


def _plant(
    workshop: Workshop, word: str, where: tuple[str, object], repair: Repair, *, job: JobId | None = None
) -> None:
    workshop.plant(f"library.{word}", Page.library, where, _SAYS[word], repair, job=job)


_SEEN_TWICE: Mapping[str, tuple[str, Repair]] = {
    "OBJECT_MISSING": ("object_missing", Repair.repair_library),
    "SIZE_DIFFERS": ("size_differs", Repair.repair_library),
    "HASH_DIFFERS": ("hash_differs", Repair.repair_library),
    "THUMBNAIL_MISSING": ("thumbnail_missing", Repair.repair_library),
    "WORKSPACE_OBJECT_MISSING": ("object_missing", Repair.repair_library),
    "WORKSPACE_SIZE_DIFFERS": ("size_differs", Repair.repair_library),
    "WORKSPACE_HASH_DIFFERS": ("hash_differs", Repair.repair_library),
    "RECORD_DIFFERS": ("size_differs", Repair.repair_autosave),
}


def _again(workshop: Workshop) -> None:
    """What the seven checks find of a portrait's objects, a scan of the library finds too."""
    for one in [one for one in workshop.planted if one.family == "autosave" and one.word in _SEEN_TWICE]:
        word, repair = _SEEN_TWICE[one.word]
        where = ("jobs", one.job)
        workshop.plant(f"library.{word}", Page.library, where, _SAYS[word], repair, job=one.job_id)


_SAYS: Mapping[str, str] = {
    "object_missing": "no such object",
    "size_differs": "another size",
    "hash_differs": "other bytes",
    "thumbnail_missing": "thumbnail is not",
    "object_without_row": "No row names this object",
    "same_bytes": "these very bytes twice",
    "look_alike": "look the same",
    "blank": "single colour",
    "corrupt": "cannot be read as a picture",
    "own_link": "signed link to an object of ours",
    "external_link": "lies elsewhere",
}


def drawing(name: str) -> bytes:
    """A picture of Sketch, the same for the same name."""
    made = Drawing(f"an adult person, {name}", the_id(name).int % 2**31, SIZE)
    for _ in PASSES:
        made.next_pass()
    return made.png()


def _objects_without_row(workshop: Workshop) -> None:
    """Two that nobody knows, and one whose job is known and whose rows were lost."""
    storage, hero = workshop.services.storage, workshop.characters["odalys"]
    for bucket, path in (
        (LIBRARY, f"{ADA.id}/portraits/{hero}/a-stranger-in-the-doorway.png"),
        (REFERENCES, f"{ADA.id}/{hero}/{'f0' * 32}.png"),
    ):
        storage.put(bucket, path, drawing(path), "image/png")
        _age(workshop, bucket, path)
        _plant(workshop, "object_without_row", ("object", f"{bucket}/{path}"), Repair.person)
    _rows_lost(workshop)


def _rows_lost(workshop: Workshop) -> None:
    job_id = workshop.make("wilhelmina", "behind the curtain")
    facts = proof.look(job_id, workshop.services)
    with workshop.before_the_studio() as conn:
        demo.date_job(conn, job_id, asked_at=workshop.ago(hours=40), seconds=7)
        demo.break_rows(conn, "ROWS_LOST", job_id)
        demo.follow_newest(conn, workshop.characters["wilhelmina"])
    for path in (facts.library_path, facts.thumbnail_path) if facts is not None else ():
        _age(workshop, LIBRARY, str(path))
    for reason in (Reason.NO_LIBRARY_ROW, Reason.NO_PORTRAIT):
        workshop.plant_reason(reason, job_id, Repair.repair_autosave)
    lies = f"{LIBRARY}/{facts.library_path if facts is not None else job_id}"
    _plant(workshop, "object_without_row", ("object", lies), Repair.repair_library, job=job_id)


def _age(workshop: Workshop, bucket: str, path: str) -> None:
    """An object that has lain there for days, where the store is a folder: a fresh one may still get its row."""
    place = workshop.services.settings.home / "objects" / bucket / path
    if place.exists():
        moment = workshop.ago(days=3).timestamp()
        os.utime(place, (moment, moment))


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
    _double(workshop, "same_bytes", second)
    _double(workshop, "look_alike", packed)
    why = "The same words and another seed: alike, and not the same picture."
    workshop.clear("library.near", ("user_library", near), why, job=near)
    why = "The workspace's copy and the library's are the same bytes, as they should be."
    workshop.clear("library.workspace_copy", ("user_library", near), why, job=near)


def _double(workshop: Workshop, word: str, job_id: JobId) -> None:
    _plant(workshop, word, ("user_library", job_id), Repair.person, job=job_id)


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
    days = {"direct": 12.0, "form": 9.0, "blank": 10.0, "corrupt": 9.5, "well": 1.0}
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
    for name in ("blank", "corrupt"):
        _double(workshop, name, the_job(name))
    _illegal_move(workshop, the_job("well"))
    _adopted(workshop, the_job("form"))


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


def _adopted(workshop: Workshop, job_id: JobId) -> None:
    """What the adoption of an older database wrote down, in its own words."""
    portrait = workshop.portrait_of(job_id)
    sentence = "This character had several primary portraits. The newest kept the star; choose another where that is wrong."
    rule, table = "portrait.second_primary", "character_portraits"
    with workshop.services.db.as_service() as conn:
        activity.find(conn, rule, table, str(portrait), sentence)
    where, says = (table, portrait), "several primary portraits"
    workshop.plant(f"findings.{rule}", Page.findings, where, says, Repair.person)


# -- stored links -----------------------------------------------------------------------------------------------------


def _links(workshop: Workshop) -> None:
    """Links to objects of ours, one dead and one that dies within weeks, and one that leads to a provider."""
    lotte, hero = workshop.characters["lotte"], workshop.characters["odalys"]
    dead = _own_link(workshop, "odalys", datetime(2025, 1, 1, tzinfo=UTC))
    fresh = _own_link(workshop, "perpetua", workshop.now + timedelta(days=20))
    keeper = workshop.characters["perpetua"]
    with workshop.on_the_platform() as conn:
        demo.set_preview(conn, hero, dead)
        demo.set_preview(conn, keeper, fresh)
        demo.set_reference(conn, VELVET, "https://fal.media/files/demo/velvet.png")
    for character_id in (hero, keeper):
        _plant(workshop, "own_link", ("characters", character_id), Repair.repair_library)
    for character_id in (VELVET, lotte):  # Lotte's is the one whose picture the seven checks miss, too
        _plant(workshop, "external_link", ("characters", character_id), Repair.person)


def _own_link(workshop: Workshop, key: str, ends: datetime) -> str:
    """A link as the platform's pages stored it: to a character's present picture, until that moment."""
    owner = next(one.owner for one in CAST if one.key == key)
    shown = characters.load(workshop.characters[key], owner, workshop.services).image_url
    return f"/files/{shown}?token={int(ends.timestamp()):x}-demo"


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


def settled(workshop: Workshop) -> None:
    """All this was written a while ago: what is fresh is not judged yet. What has no date of its own is of last night."""
    owners = [one.id for one in PEOPLE]
    with workshop.services.db.as_service() as conn:
        fresh = demo.undated(conn, owners, since=workshop.now)
    with workshop.before_the_studio() as conn:
        for place, job_id in enumerate(fresh):
            moment = workshop.ago(hours=20 - 16 * place / len(fresh))
            demo.date_job(conn, job_id, asked_at=moment, seconds=5 + place * 7 % 11)
        demo.settle_rows(conn, owners, at=workshop.ago(hours=1))
