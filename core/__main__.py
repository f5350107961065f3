"""`python -m core`."""

from core.cli import app

app()
