"""Rows that do not fit, in words: what each rule of core/db/row_conditions.py means to a person, who mends it and how; and
the sweeps that look for such rows by the clock and when somebody asks (SPEC "Adoption", "Audit").
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from uuid import UUID

from core import log
from core.authority import Action, permit
from core.db import row_rules
from core.db import row_sweeps as sweeps
from core.services import Services
from core.values import Person

_log = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class Words:
    """A rule to a person; `place` names the page that leads to what mends it."""

    title: str
    means: str
    who: str
    todo: str
    place: str


def _editors(title: str, means: str, todo: str) -> Words:
    return Words(title=title, means=means, who="Editor", todo=todo, place="character")


def _qas(title: str, means: str, todo: str, place: str = "elsewhere") -> Words:
    return Words(title=title, means=means, who="QA", todo=todo, place=place)


WORDS: Mapping[str, Words] = MappingProxyType(
    {
        "row.name_long": _editors(
            "A name that is too long",
            "A character's name has more than 50 characters. It is shown, and nothing is generated or published with it.",
            "Open the character in the studio and shorten its name.",
        ),
        "row.name_empty": _editors(
            "Public without a name",
            "A public character has no name. It is shown as Untitled to everybody.",
            "Give it a name in the studio, or take it out of the public.",
        ),
        "row.description_short": _editors(
            "A description that is too short",
            "A character that is public or has portraits has a description of fewer than 50 characters.",
            "Write more about it in the studio: nothing is generated or published before.",
        ),
        "row.description_long": _editors(
            "A description that is too long",
            "A character's description has more than 500 characters. All of it is kept.",
            "Shorten it in the studio: nothing is generated or published before.",
        ),
        "row.tags_many": _editors(
            "Too many tags",
            "A character has more than 20 tags of appearance or of clothing. All are kept.",
            "Open the character in the studio and take some out.",
        ),
        "row.rating_unsettled": _editors(
            "Rated nsfw by default",
            "The platform rated a character nsfw because that was its default. Until somebody says, it counts as sfw.",
            "Open it in the studio and answer the question which rating it has.",
        ),
        "row.reference_in_workspace": _editors(
            "A reference that will be cleaned",
            "A character's reference or preview picture lies in the workspace, which is cleaned out.",
            "Choose the reference again in the studio, from the library or by an upload.",
        ),
        "row.no_primary": _editors(
            "Portraits, none of them primary",
            "A character has portraits, and none of them stands for it.",
            "Open its portraits in the studio and choose the primary one.",
        ),
        "row.image_in_workspace": _qas(
            "A workspace picture shown for good",
            "A row shows a picture of the workspace, which is cleaned out, as if it were to stay.",
            "Set another picture in the studio while this one is still there.",
        ),
        "row.primary_deleted": _qas(
            "A removed portrait is primary",
            "A portrait was removed and is its character's primary all the same, so none is shown.",
            "Choose another primary portrait in the studio.",
        ),
        "row.portrait_job_gone": _qas(
            "A portrait whose job is gone",
            "A portrait names a job that was deleted. The picture stays; its story and its cost are lost.",
            "Nothing can bring the job back. Look whether the picture is right, then set this aside.",
        ),
        "row.library_job_gone": _qas(
            "A library row whose job is gone",
            "A library row names a job that was deleted. The picture stays; its story and its cost are lost.",
            "Nothing can bring the job back. Look whether the picture is right, then set this aside.",
            "library",
        ),
        "row.library_foreign_folder": _qas(
            "A library row in a foreign folder",
            "A library row names a picture in somebody else's folder. It is not shown by that path.",
            "Look whose picture it is. A path written by a user is never followed by itself.",
            "library",
        ),
        "row.asset_job_gone": _qas(
            "A result whose job is gone",
            "A result in the workspace belongs to a job that was deleted, so nothing saves it by itself.",
            "Look whether the picture is wanted before the workspace is cleaned, then set this aside.",
            "library",
        ),
        "row.asset_foreign_job": _qas(
            "A result of somebody else's job",
            "A result in the workspace belongs to one person and its job to another.",
            "Find out who wrote it. Where it is right, set it aside; else tell an admin.",
        ),
        "row.asset_foreign_folder": _qas(
            "A result that lies in a foreign folder",
            "A result that is no portrait names a file in somebody else's folder. It is not shown by that path.",
            "Look whose folder it is. A path written by a user is never followed by itself.",
        ),
        "row.job_open_with_result": _qas(
            "Open for weeks, its result is there",
            "A job of the platform has not ended for more than two weeks, though its result was written.",
            "Recover it under Stuck jobs: it is completed and its result is saved.",
            "stuck",
        ),
        "row.job_open_for_weeks": _qas(
            "Open for weeks, nothing came of it",
            "A job of the platform has not ended for more than two weeks, and there is no result of it.",
            "Read its story. Purge it under Stuck jobs where nothing is to be waited for.",
            "stuck",
        ),
        "row.job_character_unknown": _qas(
            "A portrait that belongs to nobody",
            "A completed portrait is not in the library, because it names no character that is there.",
            "Open it under Auto-save and say which character it belongs to; or make one of its name.",
            "autosave",
        ),
        "row.job_ended_early": _qas(
            "Ended before it began",
            "A job's own times say that it ended before it was asked for, so no duration is known.",
            "Read the job's story. Where its result is right, set this aside.",
            "job",
        ),
        "row.details_no_object": _qas(
            "Details that cannot be read",
            "What a row says of itself beside its columns is no list of names and values, so nothing is read of it.",
            "Look whether the row is right without them, then set this aside; or tell the platform's team.",
        ),
        "row.details_wrong_type": _qas(
            "A detail of another type",
            "One value that a row says of itself is no text, number or id where one is read; it counts as missing.",
            "Look whether the row is right without it, then set this aside; or tell the platform's team.",
        ),
        "row.seed_too_large": _qas(
            "A seed larger than is kept",
            "The seed a row tells of does not fit into 63 bits, so this very picture cannot be asked for again.",
            "Nothing is lost but the seed. Set this aside.",
        ),
        "row.attribute_unknown": Words(
            title="An attribute image of no option",
            means="An attribute or style image belongs to a category, a value or a style that is none of the options.",
            who="Product",
            todo="Add the option under Attribute images, or its name as an older name of one; else set this aside.",
            place="attributes",
        ),
        "row.model_unreadable": Words(
            title="A model that cannot be read",
            means="What a model can do, or what it is given by default, is written in a form that is not read.",
            who="Admin",
            todo="Correct the model's row. Until then it counts as able to do nothing beyond a plain picture.",
            place="system",
        ),
        "row.model_twice": Words(
            title="The same model twice",
            means="A provider has two models of the same key. Either may be chosen, and each has its own price.",
            who="Admin",
            todo="Switch one of the two off.",
            place="system",
        ),
    }
)
"""The rules that only a sweep finds, by name; what it finds of an older rule keeps that rule's words (core/findings.py)."""


def ask(person: Person, services: Services) -> UUID:
    """Have a worker look at every row within a minute; one that is asked for already is that one. Recorded in the audit.

    Raises NotAllowed (needs qa or admin, said by the database too).
    """
    permit(person, Action.check_rows)
    with services.db.as_user(person) as conn:
        return sweeps.ask(conn)


def sweep(services: Services) -> Mapping[str, int]:
    """Look at every row now: open findings by rule. Raises Conflict SWEEP_RUNNING at once where another process is at it."""
    with contextlib.closing(services.db.connect()) as conn:
        found = row_rules.sweep(conn, wait=0, leaving=services.stopping.is_set)
    _log.info("rows_checked", open=sum(found.values()))
    return found


def sweep_if_asked(services: Services) -> Mapping[str, int] | None:
    """Carry out a sweep that is asked for or was left unfinished; None where there is none. Raises as `sweep`."""
    with services.db.as_service() as conn:
        asked = sweeps.is_asked(conn)
    return sweep(services) if asked else None
