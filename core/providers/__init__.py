"""What the rest of the code relies on when it talks to an image provider.

An adapter only translates: our `Order` in, their wire format out, and back. It holds no SQL, no storage, no
prompt building and no retry of a paid request.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol, runtime_checkable

from core.values import Finished, ImageModel, Order, Running, Ticket


class CancelAnswer(StrEnum):
    """What a provider said when it was asked to stop."""

    stopped = "stopped"  # it will not finish; nothing more comes
    asked = "asked"  # it was told, and may still finish (and bill)
    too_late = "too_late"  # it had finished already
    unsupported = "unsupported"  # it cannot be stopped


class Provider(Protocol):
    """One provider of images. Every method may be called from any thread."""

    name: str

    @property
    def download_hosts(self) -> tuple[str, ...]:
        """Hosts (`v3.fal.media`) or origins (`http://127.0.0.1:9000`, emulator only) results come from."""
        ...

    def submit(self, order: Order, model: ImageModel) -> Ticket:
        """Send the paid request, exactly once, and return its receipt.

        Raises ProviderBusy (surely not accepted), ProviderRejected (final), OutcomeUnknown (left, and no
        receipt came).
        """
        ...

    def poll(self, ticket: Ticket) -> Running | Finished:
        """Ask about an accepted request; safe to repeat, from any worker.

        Raises ProviderRejected (it ended without a picture), ResultLost (it is gone there),
        ProviderUnreachable (ask again).
        """
        ...

    def cancel(self, ticket: Ticket) -> CancelAnswer:
        """Ask the provider to stop. Raises ProviderUnreachable."""
        ...

    def close(self) -> None:
        """Let go of connections and of what is held in memory."""
        ...


@runtime_checkable
class Remote(Protocol):
    """A provider that is asked over the network."""

    @property
    def address(self) -> str:
        """Where its requests go: to look whether anything answers there, without a key and without an order."""
        ...
