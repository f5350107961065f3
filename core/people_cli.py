"""`python -m core first-admin`: who gives the others their roles (docs/single-sign-on.md)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated

import typer
from rich.console import Console

from core.identity.people import name_first_admin
from core.services import Services

Open = Callable[[], AbstractContextManager[Services]]


def add_to(app: typer.Typer, open_services: Open, console: Console) -> None:
    """Add the command; whoever may run it on this machine has the database anyway."""

    @app.command("first-admin")
    def first_admin(email: Annotated[str, typer.Argument(help="Their e-mail address.")]) -> None:
        """Give the admin role to the first who may give roles; refused where there is an admin."""
        with open_services() as services:
            named = name_first_admin(email, services.settings, services.db)
        console.print(
            f"{named.email} is an admin. They sign in, again if they are signed in now.", markup=False
        )
