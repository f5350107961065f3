"""An OpenAI-compatible endpoint for chat completions, spoken from providers.md "Chat": what each server answers differs
in its errors and in the forms of JSON it takes, so both can be chosen.

Without words of its own it writes an answer that fits the schema it is given, wherever that stands in the request.
"""

from __future__ import annotations

import json
import uuid
from collections import deque
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

from tests.emulator.faults import Fault, Kind, Place
from tests.emulator.spoiling import Instead, come_back, spoiled
from tests.emulator.state import State
from tests.emulator.wire import Reply, Request, json_reply

PATH = "/v1/chat/completions"
WRITTEN = "An adult lamp-lighter of forty-four who hums to stubborn lamps and pays every debt in marmalade."


@dataclass(kw_only=True)
class Talk:
    """What the model says next and how its server behaves."""

    takes: tuple[str, ...] = ("json_schema", "json_object", "text")
    newer_limit: bool = False  # wants max_completion_tokens
    tells_usage: bool = True
    tells_cost: bool = False
    usd_in: Decimal = Decimal(0)  # for a million tokens
    usd_out: Decimal = Decimal(0)
    says: deque[dict[str, object]] = field(default_factory=deque)  # scripted answers, oldest first
    requests: list[dict[str, object]] = field(default_factory=list)
    charged: Decimal = Decimal(0)


class ChatCompletions:
    """Answers what a client with `base_url` = …/chat/v1 asks."""

    name = "chat"

    def __init__(self, state: State) -> None:
        self._state = state
        self.talk = Talk()

    def is_paid(self, request: Request) -> bool:
        return request.method == "POST" and request.path == PATH

    def script(self, given: dict[str, object]) -> Reply:
        """Changes how it behaves: any name of Talk; `reset` begins anew; `say` queues an answer."""
        if given.get("reset"):
            self.talk = Talk()
        if "say" in given:
            self.talk.says.append(given["say"])
        for name in ("takes", "newer_limit", "tells_usage", "tells_cost"):
            if name in given:
                setattr(self.talk, name, given[name])
        for name in ("usd_in", "usd_out"):
            if name in given:
                setattr(self.talk, name, Decimal(given[name]))
        return json_reply({"requests": self.talk.requests, "charged": str(self.talk.charged)})

    def answer(self, request: Request) -> Reply:
        """Routes one request; it is refused without the key."""
        if request.headers.get("authorization") != f"Bearer {self._state.settings.key}":
            return _refusal(401, "Incorrect API key provided")
        if request.method != "POST" or request.path != PATH:
            return _refusal(404, "Not Found")
        body = request.json()
        if not isinstance(body, dict) or not body.get("messages"):
            return _refusal(400, "messages is required")
        fault = self._state.faults.take(Place.submit)
        if fault is not None and not fault.takes:
            return spoiled(fault, json_reply({}), INSTEAD)
        reply = self._refused_form(body) or self._completion(body)
        return reply if fault is None else spoiled(fault, reply, INSTEAD)

    def _refused_form(self, body: dict[str, object]) -> Reply | None:
        form = body.get("response_format") or {}
        kind = form.get("type", "text")
        if kind not in self.talk.takes:
            return _refusal(400, f"response_format.type {kind} is not supported by this model")
        if self.talk.newer_limit and "max_tokens" in body:
            return _refusal(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        return None

    def _completion(self, body: dict[str, object]) -> Reply:
        self.talk.requests.append(body)
        self._state.counts[self.name].accepted += 1
        said = self.talk.says.popleft() if self.talk.says else {}
        content = said.get("content", json.dumps(_written(body)))
        given = sum(len(str(one["content"])) for one in body["messages"]) // 4
        usage = {"prompt_tokens": given, "completion_tokens": max(len(str(content)) // 4, 1)}
        usd = (
            (usage["prompt_tokens"] * self.talk.usd_in + usage["completion_tokens"] * self.talk.usd_out)
            / 1_000_000
        ).quantize(Decimal("0.000001"), ROUND_HALF_UP)
        self.talk.charged += usd
        if self.talk.tells_cost:
            usage["cost"] = float(usd)
        if "error" in said:
            return json_reply({"error": said["error"]})
        message = {"role": "assistant", "content": content, "refusal": said.get("refusal")}
        choice = {"index": 0, "message": message, "finish_reason": said.get("finish_reason", "stop")}
        told = {"usage": usage} if self.talk.tells_usage else {}
        return json_reply(
            {"id": f"chatcmpl-{uuid.uuid4()}", "object": "chat.completion", "choices": [choice], **told}
        )


def _written(body: dict[str, object]) -> dict[str, object]:
    """Something for every property of the schema."""
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema":
        schema = form["json_schema"]["schema"]
    else:
        system = str(body["messages"][0]["content"])
        schema, _ = json.JSONDecoder().raw_decode(system, system.index('{"type": "object"'))
    return {name: _value(name, shape) for name, shape in schema["properties"].items()}


def _value(name: str, shape: dict[str, object]) -> object:
    if "enum" in shape:
        return shape["enum"][-1]
    if shape["type"] == "array":
        tags = {"appearance_tags": ["grey eyes", "soot on the cheek"], "clothing_tags": ["long wool coat"]}
        return tags.get(name, ["Good evening, lamp.", "Who put you out?"])
    return {"name": "Florian Ember", "role": "Lamp-lighter"}.get(name, WRITTEN)


def _refusal(status: int, message: str) -> Reply:
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": status}}
    return json_reply(body, status=status)


INSTEAD: Instead = {
    Kind.unreadable: lambda _fault, _prompt: Reply(body=b'{"choices": ['),
    Kind.rate_limited: lambda fault, _prompt: json_reply(
        {"error": {"message": "slow down", "code": 429}}, status=429, headers=come_back(fault)
    ),
    Kind.server_error: lambda fault, _prompt: _refusal(fault.status or 500, "Something broke"),
    Kind.refused: lambda fault, _prompt: _refusal_of(fault),
    Kind.bad_key: lambda _fault, _prompt: _refusal(401, "Incorrect API key provided"),
    Kind.balance_empty: lambda _fault, _prompt: _refusal(402, "Insufficient credits"),
}


def _refusal_of(fault: Fault) -> Reply:
    """In the shapes that are met: nested, flat as older vLLM, a plain text as Ollama, not JSON at all."""
    status = fault.status or 400
    shapes = {
        "flat": json_reply({"object": "error", "message": "context too long", "code": status}, status=status),
        "text": json_reply({"error": "context too long"}, status=status),
        "page": Reply(status=status, body=b"<html>no</html>", headers={"content-type": "text/html"}),
    }
    return shapes.get(fault.type) or _refusal(status, fault.type)
