"""The attributes page: the matrix of attribute images, making what is missing, and product's review (SPEC
"Attribute images").
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from uuid import UUID

from core import attributes, generation, options, reviews
from core.attributes import AttributePlan, CellStatus, Progress, Run
from core.authority import Action, may
from core.db.attributes import AskOutcome
from core.errors import BadRequest
from core.values import STYLE_IMAGE, Cell, ModelId, Person, ReviewStatus
from studio import calls, navigation
from studio.asking import Asking
from studio.components import page_parts

MOST_CELLS: Final = 500


@dataclass(frozen=True, kw_only=True)
class _Order:
    """What the page wants made: `cells` None means all that are missing."""

    cells: tuple[Cell, ...] | None
    again: bool
    limit_usd: Decimal | None
    model_id: ModelId | None


def build(asking: Asking) -> None:
    """Draw the page."""
    with navigation.frame(asking, "attributes", "Attributes"):
        page_parts.attribute_matrix(calls.answering(asking, _answers(asking)))


def _answers(asking: Asking) -> dict[str, calls.Answer]:
    services = asking.services

    def read(person: Person, _sent: calls.Sent) -> object:
        return _matrix(asking, person)

    def plan(person: Person, sent: calls.Sent) -> object:
        order = _order(sent)
        found = attributes.plan(
            person, services, cells=order.cells, limit_usd=order.limit_usd, model_id=order.model_id
        )
        return _plan(found)

    def make(person: Person, sent: calls.Sent) -> object:
        return _run(_made(asking, person, _order(sent), calls.an_id(sent, "run")))

    def progress(person: Person, sent: calls.Sent) -> object:
        return _progress(attributes.progress(calls.an_id(sent, "run"), person, services))

    def stop(person: Person, sent: calls.Sent) -> object:
        cancelled, sent_already = attributes.cancel_run(calls.an_id(sent, "run"), person, services)
        return {"cancelled": cancelled, "sent": sent_already}

    def stop_cell(person: Person, sent: calls.Sent) -> object:
        attributes.cancel_cell(_cell(sent.get("cell")), person, services)
        return read(person, sent)

    def review(person: Person, sent: calls.Sent) -> object:
        reviews.review(
            _cell(sent.get("cell")),
            _verdict(sent),
            person,
            services,
            image_url=calls.text(sent, "image", longest=2000),
            note=calls.text(sent, "note", longest=2000),
        )
        return read(person, sent)

    return {
        "read": read, "plan": plan, "make": make, "progress": progress, "stop": stop, "stop_cell": stop_cell,
        "review": review,
    }  # fmt: skip


def _made(asking: Asking, person: Person, order: _Order, run_id: UUID) -> Run:
    wanted = {"limit_usd": order.limit_usd, "model_id": order.model_id, "run_id": run_id}
    if order.again:
        if order.cells is None:
            raise BadRequest("Choose the pictures that are made anew.", field="cells")
        return attributes.regenerate(order.cells, person, asking.services, **wanted)
    return attributes.generate(person, asking.services, cells=order.cells, **wanted)


# -- what is shown ----------------------------------------------------------------------------------------------------


def _matrix(asking: Asking, person: Person) -> dict[str, object]:
    services = asking.services
    cells = attributes.status(person, services).cells
    shipped = options.catalog(services)
    runs = [one.job for one in cells if one.job is not None and one.job.is_open]
    newest = max(runs, key=lambda job: job.asked_at, default=None)
    return {
        "styles": [{"key": one.key, "label": one.label} for one in shipped.styles],
        "groups": [
            *({"key": one.key, "label": one.label} for one in shipped.categories),
            {"key": STYLE_IMAGE, "label": "Style images"},
        ],
        "cells": [_shown(asking, person, one) for one in cells],
        "run": str(newest.run_id) if newest else None,
        "may_make": may(person, Action.make_attribute_images),
        "models": [
            {"id": str(one.model.id), "name": one.model.display_name}
            for one in generation.models_for(person, services)
            if one.available
        ],
    }


def _shown(asking: Asking, person: Person, one: CellStatus) -> dict[str, object]:
    picture, job = one.picture, one.job
    return {
        "cell": [one.cell.category, one.cell.value, one.cell.style],
        "label": one.label,
        "state": one.state.value,
        "why": one.why,
        "counts_as": one.counts_as,
        "progress": job.progress if job is not None and job.is_open else None,
        "cancelling": job is not None and job.is_open and job.cancel_requested,
        "url": reviews.link(picture, person, asking.services) if picture else "",
        "image": picture.image_url if picture else "",
        "review": picture.review_status.value if picture else None,
        "note": (picture.review_note or "") if picture else "",
        "cost": str(picture.cost_usd) if picture and picture.cost_usd is not None else None,
        "made_at": picture.updated_at.isoformat() if picture else None,
    }


def _plan(plan: AttributePlan) -> dict[str, object]:
    return {
        "count": len(plan.cells),
        "beyond": len(plan.beyond_limit),
        "model": plan.model.display_name,
        "reason": plan.reason,
        "price": _amount(plan.price),
        "total": _amount(plan.total_usd),
        "seconds": plan.seconds,
    }


def _run(run: Run) -> dict[str, object]:
    asked = run.of(AskOutcome.asked, AskOutcome.asked_before)
    refused = [one for one in run.cells if one not in asked]
    return {
        "run": str(run.id),
        "asked": len(asked),
        "refused": [{"cell": str(one.cell), "why": one.why} for one in refused],
        "warnings": list(run.warnings),
    }


def _progress(seen: Progress) -> dict[str, object]:
    return {
        "total": seen.total,
        "done": seen.done,
        "failed": seen.failed,
        "cancelled": seen.cancelled,
        "running": seen.running,
        "queued": seen.queued,
        "unknown": seen.unknown,
        "spent": _amount(seen.spent_usd),
        "unknown_costs": seen.unknown_costs,
        "seconds": seen.seconds_left,
        "failures": [{"cell": str(cell), "why": why} for cell, why in seen.failures[:10]],
        "is_cancelled": seen.is_cancelled,
        "is_over": seen.is_over,
    }


def _amount(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


# -- what was sent ----------------------------------------------------------------------------------------------------


def _order(sent: calls.Sent) -> _Order:
    cells = sent.get("cells")
    if cells is not None and (not isinstance(cells, list) or not 0 < len(cells) <= MOST_CELLS):
        raise BadRequest("The page sent something that is no list of cells. Reload the page.", field="cells")
    return _Order(
        cells=None if cells is None else tuple(_cell(one) for one in cells),
        again=sent.get("again") is True,
        limit_usd=calls.money(sent, "limit"),
        model_id=ModelId(calls.an_id(sent, "model")) if sent.get("model") else None,
    )


def _cell(sent: object) -> Cell:
    if not isinstance(sent, list) or len(sent) != 3 or not all(isinstance(one, str) for one in sent):  # noqa: PLR2004 — category, value, style
        raise BadRequest("The page sent something that is no cell of the matrix. Reload it.", field="cell")
    category, value, style = (str(one)[:200] for one in sent)
    return Cell(category=category, value=value, style=style)


def _verdict(sent: calls.Sent) -> ReviewStatus:
    try:
        return ReviewStatus(str(sent.get("verdict")))
    except ValueError as exc:
        raise BadRequest("A picture is approved, rejected or pending.", field="verdict") from exc
