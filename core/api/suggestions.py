"""Proposals for a character's fields (SPEC "HTTP"): `POST /functions/v1/character-suggestions`."""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from fastapi import Body as Examples
from fastapi.openapi.models import Example
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from core import suggestions
from core.api.answers import Proposal, SuggestionsAnswer, refusals
from core.api.asking import Asking, Body, IdempotencyKey, Serving
from core.errors import (
    BadRequest,
    BadSuggestion,
    BudgetSpent,
    Conflict,
    NotAllowed,
    NotFound,
    PolicyRefused,
    ProviderBusy,
    ProviderPaused,
    TooMany,
)
from core.offline_suggestions import Value
from core.suggestions import SuggestionRequest, Suggestions
from core.values import CharacterId, Gender

AT_ONCE = 16  # of the 40 threads that all sync calls share: models take half a minute each

_EXAMPLES: dict[str, Example] = {
    "one field": {
        "summary": "Another persona for what the form says now",
        "value": {
            "field": "persona",
            "characterData": {
                "name": "Juniper Vale",
                "description": "A retired lighthouse keeper who repairs music boxes and argues with seagulls.",
            },
            "turn": 1,
        },
    },
    "every field": {"summary": "Something for everything that is empty", "value": {"field": "all"}},
}
_Text = Annotated[str | None, Field(max_length=4000)]
_Texts = Annotated[tuple[Annotated[str, Field(max_length=600)], ...] | None, Field(max_length=20)]


class CharacterFieldsBody(Body):
    """What the form says now; what is left out is as saved."""

    name: _Text = None
    description: _Text = None
    gender: Gender | None = None
    role: _Text = None
    traits: _Text = None
    appearance_tags: _Texts = None
    clothing_tags: _Texts = None
    persona: _Text = None
    voice_tone: _Text = None
    mood: _Text = None
    personality_traits: _Text = None
    first_message: _Text = None
    alternate_greetings: _Texts = None
    scenario: _Text = None
    system_prompt: _Text = None
    forbidden_phrases: _Texts = None
    voice_examples: _Texts = None


class SuggestionsBody(Body):
    """`field` is one field's name, `tags` or `all`; `turn` counts the clicks on the same button."""

    character_id: Annotated[UUID | None, Field(alias="characterId")] = None
    version: Annotated[int | None, Field(ge=0, le=2**31 - 1)] = None
    character: Annotated[CharacterFieldsBody, Field(alias="characterData")] = CharacterFieldsBody()
    wanted: Annotated[str, Field(alias="field", max_length=40)] = suggestions.ALL
    turn: Annotated[int, Field(ge=0, le=1_000_000)] = 0

    def as_request(self, idempotency_key: str | None) -> SuggestionRequest:
        """The request as the core knows it."""
        given: dict[str, Value] = self.character.model_dump(exclude_none=True)
        return SuggestionRequest(
            wanted=self.wanted,
            character_id=CharacterId(self.character_id) if self.character_id else None,
            version=self.version,
            fields=given,
            turn=self.turn,
            idempotency_key=idempotency_key,
        )


def router() -> APIRouter:
    """The call under /functions/v1 that proposes."""
    found = APIRouter(prefix="/functions/v1", tags=["Characters"])
    places = asyncio.Semaphore(AT_ONCE)

    @found.post(
        "/character-suggestions",
        operation_id="character_suggestions",
        summary="Propose texts for a character",
        response_model=None,
        responses={
            200: {"model": SuggestionsAnswer, "description": "Proposals; nothing was changed."},
            **refusals(
                BadRequest, BudgetSpent, NotAllowed, NotFound, Conflict, PolicyRefused, TooMany, BadSuggestion,
                ProviderBusy, ProviderPaused,
                codes={
                    402: ("PRICE_UNKNOWN",),
                    409: ("IDEMPOTENCY_KEY_REUSED", "IN_PROGRESS"),
                    422: ("POLICY_MINOR",),
                },
                open_at=502,
            ),
        },
    )  # fmt: skip
    async def character_suggestions(  # pyright: ignore[reportUnusedFunction]
        body: Annotated[SuggestionsBody, Examples(openapi_examples=_EXAMPLES)],
        services: Serving,
        person: Asking,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Propose texts beside the present ones; nothing of the character is changed."""
        asked = body.as_request(idempotency_key)
        async with places:
            made = await run_in_threadpool(suggestions.suggest, asked, person, services)
        return JSONResponse(_described(made).as_json())

    return found


def _described(made: Suggestions) -> SuggestionsAnswer:
    return SuggestionsAnswer(
        suggestion_id=made.id,
        character_id=made.character_id,
        version=made.version,
        source=made.source,
        model=made.model,
        suggestions=[
            Proposal(field=one.field, label=one.label, present=one.present, proposed=one.proposed)
            for one in made.proposals
        ],
        warnings=made.warnings,
        cost_usd=str(made.cost_usd) if made.cost_usd is not None else None,
    )
