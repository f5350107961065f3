"""What arrives instead of an answer: lost connections for every provider, refusals in each one's own words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from tests.emulator.faults import Fault, Kind
from tests.emulator.wire import Loss, Reply, json_reply

Instead = Mapping[Kind, Callable[[Fault, str], Reply]]
"""A provider's own bodies by kind of fault; each is given the fault and the prompt it may echo."""

PAGE = b"<html><center><h1>Bad luck</h1></center><hr><center>nginx</center></html>"
_LOSSES = {Kind.reset_after: Loss.reset, Kind.hang: Loss.hang}


def spoiled(fault: Fault, reply: Reply, instead: Instead, prompt: str = "") -> Reply:
    """What arrives instead of `reply`."""
    if fault.kind in _LOSSES:
        return replace(reply, loss=_LOSSES[fault.kind])
    if fault.kind is Kind.slow:
        return replace(reply, wait=fault.seconds)
    if fault.kind is Kind.redirect:
        return Reply(status=302, headers={"location": fault.location})
    if fault.kind is Kind.server_error and not fault.request_id:
        # What stands before the provider answers, not the provider.
        return Reply(status=fault.status or 500, body=PAGE, headers={"content-type": "text/html"})
    if fault.kind is Kind.no_number:
        return json_reply({"status": "accepted"})
    make = instead.get(fault.kind)
    return reply if make is None else make(fault, prompt)


def come_back(fault: Fault) -> dict[str, str]:
    """The header that says when to come back, where the fault has one."""
    return {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
