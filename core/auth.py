"""Who is asking. A gate turns a connection into a Person; the rest of the code never reads a header.

In embedded mode there is one local person holding every role (SPEC "Two ways to run").
"""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from starlette.requests import HTTPConnection

from core.values import Person, PersonId, Role

LOCAL_PERSON = Person(
    id=PersonId(UUID("00000000-0000-4000-8000-000000000001")),
    roles=frozenset(Role),
    name="You",
)


class Gate(Protocol):
    """Decides who is asking; called for every request, page event and socket."""

    def person(self, conn: HTTPConnection) -> Person | None:
        """The person behind a connection, None where nobody is signed in. Cheap: it is called often."""
        ...


class LocalGate:
    """Everybody who reaches this machine's loopback is the local person."""

    def person(self, conn: HTTPConnection) -> Person | None:  # noqa: ARG002
        """The local person."""
        return LOCAL_PERSON
