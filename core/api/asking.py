"""What every call needs: the services, who asks, and addresses another origin can use."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, WithJsonSchema, field_validator
from starlette.requests import HTTPConnection

from core.auth import team_member
from core.services import Services
from core.values import Person


class Body(BaseModel):
    """A JSON body: unknown keys are ignored, texts are short and hold no NUL."""

    model_config = ConfigDict(extra="ignore", str_max_length=4000)

    @field_validator("*", mode="before")
    @classmethod
    def _without_nul(cls, value: object) -> object:
        texts: list[object] = cast("list[object]", value) if isinstance(value, list) else [value]
        if any(isinstance(text, str) and "\x00" in text for text in texts):
            raise ValueError("it holds a NUL character, which no text needs")
        return cast("object", value)


# Only described here: the gate reads the header, and in embedded mode needs none.
_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="bearer",
    bearerFormat="JWT",
    description="A token of the project's sign-in. The embedded studio knows its one local person without it.",
)


def _services(conn: HTTPConnection) -> Services:
    return conn.app.state.services


def _person(
    conn: HTTPConnection, _token: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Person:
    return team_member(conn.app.state.gate, conn)


Serving = Annotated[Services, Depends(_services)]
Asking = Annotated[Person, Depends(_person)]
# What it must be is looked at by the use case, so that every caller hears the same; this is how the document shows it.
IdempotencyKey = Annotated[
    str | None,
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]([ -~]*[!-~])?$"}),
    Header(
        alias="Idempotency-Key",
        description="One for each purchase: the same key never buys twice, and with another body it is refused (409).",
        examples=["three-seagulls-and-a-trombone-0001"],
    ),
]


def absolute(link: str, request: Request) -> str:
    """A link another origin can use: PUBLIC_URL, else the address the caller used."""
    return base_address(request) + link if link else ""


def base_address(request: Request) -> str:
    """PUBLIC_URL, else the address the caller used; without a slash at its end."""
    return (request.app.state.services.settings.public_url or str(request.base_url)).rstrip("/")
