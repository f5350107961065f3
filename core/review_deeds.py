"""What can be done with many attribute images at once: approve them, or reject them with one reason.

A row names its cell and the very picture that was shown, so that nobody judges a newer one unseen.
"""

from __future__ import annotations

from collections.abc import Sequence

from core import reviews
from core.authority import Action
from core.deeds import Deed, Options, Outcome, done, refused
from core.errors import BadRequest, RequestRefused
from core.services import Services
from core.values import Cell, Person, ReviewStatus

_BETWEEN = "\n"  # stands in no name and in no address


def row_of(cell: Cell, image_url: str) -> str:
    """The id of a row: a cell and the picture that stands there."""
    return _BETWEEN.join((cell.category, cell.value, cell.style, image_url))


def _named(row: str) -> tuple[Cell, str]:
    parts = row.split(_BETWEEN)
    if len(parts) != 4 or not all(parts):  # noqa: PLR2004 — category, value, style, picture
        raise BadRequest("A row of this action is no attribute image.", field="ids")
    return Cell(category=parts[0], value=parts[1], style=parts[2]), parts[3]


def _check(rows: Sequence[str]) -> None:
    for row in rows:
        _named(row)


def _judge(row: str, verdict: ReviewStatus, note: str, person: Person, services: Services) -> Outcome:
    cell, image_url = _named(row)
    try:
        reviews.review(cell, verdict, person, services, image_url=image_url, note=note)
    except RequestRefused as error:
        return refused(error.sentence)
    return done(f"It is {verdict.value}.")


def _approve(row: str, person: Person, services: Services, _options: Options) -> Outcome:
    return _judge(row, ReviewStatus.approved, "", person, services)


def _reject(row: str, person: Person, services: Services, options: Options) -> Outcome:
    return _judge(row, ReviewStatus.rejected, options.get("why", ""), person, services)


_JUDGES = (Action.judge_attribute_images,)
APPROVE = Deed(
    kind="approve_images", title="Approve", allowed=_JUDGES, check=_check, act=_approve, noun="picture"
)
REJECT = Deed(
    kind="reject_images", title="Reject", allowed=_JUDGES, check=_check, act=_reject, noun="picture"
)
