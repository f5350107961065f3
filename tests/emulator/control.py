"""The emulator's own addresses under /_emulator: faults, settings, counts, one request's body, reset."""

from __future__ import annotations

from dataclasses import asdict, replace
from decimal import Decimal
from typing import Protocol

from tests.emulator.chat import ChatCompletions
from tests.emulator.fal import FalQueue
from tests.emulator.faults import Place, UnknownFault, read_fault
from tests.emulator.novita import NovitaTasks
from tests.emulator.replicate import ReplicatePredictions
from tests.emulator.runpod import RunPodEndpoints
from tests.emulator.state import State, Tariff
from tests.emulator.wire import Reply, Request, json_reply

PREFIX = "/_emulator/"


class Played(Protocol):
    """A provider that is played."""

    name: str

    def is_paid(self, request: Request) -> bool:
        """Whether this request, if it is taken, costs money; only its head is known yet."""
        ...

    def answer(self, request: Request) -> Reply: ...


class Desk:
    """Takes the emulator's own calls and hands the rest to the provider that is meant: by the first part of the
    path (/chat, /replicate, /novita, /runpod), else fal, whose models' names are paths.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._fal = FalQueue(state)
        self._chat = ChatCompletions(state)
        others: tuple[Played, ...] = (
            self._chat,
            ReplicatePredictions(state),
            NovitaTasks(state),
            RunPodEndpoints(state),
        )
        self._others = {one.name: one for one in others}

    async def leave(self) -> None:
        """Stops the webhooks that are still to be sent."""
        await self._state.caller.leave()

    def refuses_body(self, request: Request) -> bool:
        """Counts a paid POST the moment its head is there, and says where a fault resets it then."""
        if request.path.startswith(PREFIX):
            return False
        provider, inner = self._meant(request)
        if not provider.is_paid(inner):
            return False
        self._state.counts[provider.name].submits += 1
        return self._state.faults.take(Place.submit, early=True) is not None

    def answer(self, request: Request) -> Reply:
        if not request.path.startswith(PREFIX):
            provider, inner = self._meant(request)
            return provider.answer(inner)
        name = request.path.removeprefix(PREFIX)
        try:
            return self._own(request, name)
        except (UnknownFault, ValueError) as exc:
            return json_reply({"detail": str(exc)}, status=400)

    def _meant(self, request: Request) -> tuple[Played, Request]:
        """Who is meant, and the request as it would have arrived there."""
        first, slash, rest = request.path.removeprefix("/").partition("/")
        provider = self._others.get(first)
        if provider is None:
            return self._fal, request
        return provider, replace(request, path=slash + rest, origin=f"{request.origin}/{first}")

    def _own(self, request: Request, name: str) -> Reply:
        if request.method == "POST":
            act = {
                "faults": self._queue,
                "settings": self._settle,
                "reset": self._forget,
                "calm": self._calm,
                "announce": self._announce,
                "chat": self._script,
                "tariffs": self._price,
                "credits": self._credit,
            }.get(name)
            given = request.json()
        else:
            kind, _, given = name.partition("/")
            act = {
                "counts": self._counts,
                "requests": self._request,
                "faults": self._faults,
                "webhooks": self._webhooks,
                "bill": self._bill,
            }.get(kind)
            given = given or request.query.get("requests", "1")
        if act is None:
            return json_reply({"detail": "The emulator has no such address."}, status=404)
        return act(given)

    def _counts(self, requests: str) -> Reply:
        return json_reply(self._state.told(requests=requests != "0"))

    def _request(self, job_id: str) -> Reply:
        job = self._state.jobs.get(job_id)
        if job is None:
            raise ValueError("There is no such request.")
        return json_reply(job.line() | {"body": job.body, "prompt": job.prompt})

    def _faults(self, _given: str) -> Reply:
        return json_reply([asdict(fault) for fault in self._state.faults.waiting])

    def _webhooks(self, _given: object) -> Reply:
        return json_reply([asdict(one) for one in self._state.caller.deliveries])

    def _announce(self, given: object) -> Reply:
        """Sends a request's last webhook once more, signed anew, as {"request": …}."""
        job = self._state.jobs.get(given.get("request", "")) if isinstance(given, dict) else None
        if job is None:
            raise ValueError("There is no such request.")
        self._state.caller.announce(job, "completed")
        return json_reply({})

    def _script(self, given: object) -> Reply:
        if not isinstance(given, dict):
            raise ValueError("What the model says is an object.")  # noqa: TRY004  (as below)
        return self._chat.script(given)

    def _forget(self, _given: object) -> Reply:
        self._state.reset()
        self._chat.script({"reset": True})
        return json_reply({})

    def _calm(self, _given: object) -> Reply:
        self._state.faults.waiting.clear()
        return json_reply({})

    def _price(self, given: object) -> Reply:
        if not isinstance(given, dict) or given.get("unit") not in {"image", "megapixel", "second"}:
            raise ValueError("A tariff is an object with `model`, `unit` and `usd`.")
        self._state.tariffs[str(given["model"])] = Tariff(unit=given["unit"], usd=Decimal(given["usd"]))
        return json_reply({})

    def _credit(self, given: object) -> Reply:
        job = self._state.jobs.get(str(given.get("id"))) if isinstance(given, dict) else None
        if job is None:
            raise ValueError("There is no such request.")
        job.usd -= Decimal(given["usd"])
        return json_reply({})

    def _bill(self, _given: object) -> Reply:
        return json_reply(self._state.bill())

    def _queue(self, given: object) -> Reply:
        faults = [read_fault(one) for one in (given if isinstance(given, list) else [given])]
        self._state.faults.waiting.extend(faults)
        return json_reply({"waiting": len(self._state.faults.waiting)})

    def _settle(self, given: object) -> Reply:
        if not isinstance(given, dict):
            raise ValueError("Settings are an object.")  # noqa: TRY004  (one family of refusals, answered 400)
        self._state.settings.change(given)
        return json_reply(asdict(self._state.settings))
