"""`python -m core budgets`, `prices` and `resume`: what an admin sets about money, over the use cases of the core."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal, InvalidOperation
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from core import billing, budgets, pauses
from core.auth import LOCAL_PERSON
from core.budgets import Period, Standing
from core.db import models
from core.errors import BadRequest
from core.services import Services
from core.values import ModelId, PersonId, PriceUnit, provider_name

Open = Callable[[], AbstractContextManager[Services]]
_Why = Annotated[str, typer.Option(help="The reason, for the record.")]


def add_to(app: typer.Typer, open_services: Open, console: Console) -> None:
    """Add the commands, over the services that `open_services` opens, which also says expected failures."""
    app.add_typer(_budgets(open_services, console), name="budgets")
    app.add_typer(_prices(open_services, console), name="prices")

    @app.command()
    def resume(provider: Annotated[str, typer.Argument(help="Such as fal.")], why: _Why = "") -> None:
        """Send to a paused provider again: its key or balance was mended."""
        with open_services() as services:
            lifted = pauses.resume_provider(provider.lower(), LOCAL_PERSON, services, why=why)
        name = provider_name(provider.lower())
        console.print(f"{name} is sent to again." if lifted else f"{name} was not paused.", markup=False)


def _budgets(open_services: Open, console: Console) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, help="How much may be spent in a day or a month.")

    @app.command("list")
    def list_all() -> None:
        """Every budget: its limit, what is spent, held and left."""
        with open_services() as services:
            _show(budgets.listing(LOCAL_PERSON, services), console)

    @app.command("set")
    def set_one(
        limit_usd: Annotated[str, typer.Argument(help="Dollars, such as 20.")],
        period: Annotated[Period, typer.Argument(help="Counted in UTC.")],
        *,
        of: Annotated[str | None, typer.Option(help="One person's id; without it everybody's.")] = None,
        hard: Annotated[bool, typer.Option("--hard/--soft", help="A soft one only warns.")] = True,
        reserve_usd: Annotated[
            str | None, typer.Option(help="What a request of unknown price holds; without it, it is refused.")
        ] = None,
        why: _Why = "",
    ) -> None:
        """Make a budget, or change the one of that person and period."""
        with open_services() as services:
            made = budgets.save(
                _dollars(limit_usd, "limit_usd"),
                period,
                LOCAL_PERSON,
                services,
                of=PersonId(_id(of, "of")) if of else None,
                hard=hard,
                reserve_usd=_dollars(reserve_usd, "reserve_usd") if reserve_usd is not None else None,
                why=why,
            )
        console.print(f"Set: {made}")

    @app.command("remove")
    def remove(
        budget: Annotated[str, typer.Argument(help="Its id, as list has it.")], why: _Why = ""
    ) -> None:
        """Take a budget away."""
        with open_services() as services:
            budgets.remove(_id(budget, "budget"), LOCAL_PERSON, services, why=why)
        console.print("Removed.")

    return app


def _prices(open_services: Open, console: Console) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, help="What the models cost.")

    @app.callback()
    def prices() -> None:  # pyright: ignore[reportUnusedFunction] — makes `set` a word of its own
        """What the models cost."""

    @app.command("set")
    def set_one(
        model: Annotated[str, typer.Argument(help="A model's key or name.")],
        unit: Annotated[PriceUnit, typer.Argument(help="What is counted.")],
        usd: Annotated[str, typer.Argument(help="Dollars for one unit, or unknown.")],
        source: Annotated[str, typer.Option(help="Where this price stands.")],
        size: Annotated[str | None, typer.Option(help="Only pictures of this size: 1024x1024.")] = None,
    ) -> None:
        """A new price from now on; what was sent before keeps its own."""
        with open_services() as services:
            billing.set_price(
                _model(model, services),
                unit,
                None if usd == "unknown" else _dollars(usd, "price"),
                LOCAL_PERSON,
                services,
                source=source,
                size=size,
            )
        console.print("Set.")

    return app


def _show(found: list[Standing], console: Console) -> None:
    table = Table("Budget", "Of", "Limit", "Spent", "Held", "Left", "Begins again (UTC)")
    for one in found:
        of = str(one.user_id) if one.user_id else "everybody"
        limit = f"${one.limit_usd:.2f} a {one.period}, {'hard' if one.hard else 'soft'}"
        amounts = (f"${amount:.4f}" for amount in (one.spent, one.held, one.left))
        table.add_row(str(one.id), of, limit, *amounts, f"{one.resets_at:%Y-%m-%d %H:%M}")
    console.print(table if found else "There are no budgets.")


def _dollars(text: str, field: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise BadRequest("Write an amount as a number of dollars, such as 0.50.", field=field) from error
    if not amount.is_finite():
        raise BadRequest("Write an amount as a number of dollars, such as 0.50.", field=field)
    return amount


def _id(text: str, field: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise BadRequest("People and budgets are named by their ids.", field=field) from error


def _model(name: str, services: Services) -> ModelId:
    with services.db.as_user(LOCAL_PERSON) as conn:
        known = models.list_all(conn)
    wanted = name.casefold()
    found = [one.id for one in known if wanted in {one.model_key.casefold(), one.display_name.casefold()}]
    if len(found) != 1:
        raise BadRequest("There is no such model, or more than one: give its key.", field="model")
    return found[0]
