"""Views of the dashboard under a name, one's own or shared with the team (SPEC "Audit": the address holds everything)."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from core.authority import Action, permit
from core.db import views as rows
from core.db.views import View
from core.errors import BadRequest, Conflict
from core.services import Services
from core.values import Person

LONGEST_NAME = 60
LONGEST_ADDRESS = 2_000
# Where one stands in a list, and which row is open, is no part of a view.
_PASSING = frozenset({"before", "after", "job"})


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A view that was kept; `replaced` where it took the place of the person's own of that name."""

    id: UUID
    replaced: bool


def address_of(parameters: list[tuple[str, str]]) -> str:
    """What of an address a view keeps: everything that chooses, nothing that is only a place in a list."""
    return urlencode([(name, value) for name, value in parameters if name not in _PASSING])


def parameters_of(view: View) -> list[tuple[str, str]]:
    """The address of a view in its parts, in order; a name may come twice."""
    return parse_qsl(view.address, keep_blank_values=True)


def of_page(page: str, person: Person, services: Services) -> list[View]:
    """The person's own views of a page and those that are shared, by name. Raises NotAllowed."""
    permit(person, Action.keep_views)
    with services.db.as_reader(person) as conn:
        return rows.of_page(conn, page)


def save(page: str, name: str, address: str, person: Person, services: Services, *, shared: bool) -> Saved:
    """Keep the view of a page under a name. Raises NotAllowed (needs a role), BadRequest (field name), TooMany."""
    permit(person, Action.keep_views)
    said = _fitting(name)
    if len(address) > LONGEST_ADDRESS:
        raise BadRequest("This view's filters are too long to be kept. Take some out.", field="address")
    with services.db.as_user(person) as conn:
        view_id, replaced = rows.save(conn, page, said, address, shared=shared)
    return Saved(id=view_id, replaced=replaced)


def change(view_id: UUID, name: str, person: Person, services: Services, *, shared: bool) -> None:
    """Rename one's own view, share it, or keep it to oneself. Raises NotAllowed, BadRequest, NotFound, Conflict."""
    permit(person, Action.keep_views)
    said = _fitting(name)
    try:
        with services.db.as_user(person) as conn:
            rows.change(conn, view_id, said, shared=shared)
    except Conflict as error:
        raise Conflict("You have another view of this name on this page. Choose another name.") from error


def remove(view_id: UUID, person: Person, services: Services) -> None:
    """Delete one's own view; who else used it, loses it. Raises NotAllowed, NotFound."""
    permit(person, Action.keep_views)
    with services.db.as_user(person) as conn:
        rows.remove(conn, view_id)


def _fitting(name: str) -> str:
    said = " ".join(name.replace("\x00", "").split())
    if not said:
        raise BadRequest("Give the view a name.", field="name")
    if len(said) > LONGEST_NAME:
        raise BadRequest(f"A name has at most {LONGEST_NAME} letters; this has {len(said)}.", field="name")
    return said
