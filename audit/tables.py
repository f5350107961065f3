"""Any table of the dashboard as a file: CSV for a spreadsheet, Parquet for a program (SPEC "Audit": CSV of every table).

A file is made when it is asked for, outside the page's run, so its maker brings the services and the person it reads
as, and `on_click` asks again whether they still sit there. What a spreadsheet would run as a formula is made text in the CSV, and stays as it is in the Parquet.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from uuid import UUID

import pandas as pd
import streamlit as st

from audit import words
from audit.services import on_click

MOST_IN_FILE = 10_000  # rows
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Rows = Iterable[Sequence[object]]


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A table as a file: its `name` is the file's, `rows` reads it (at most 10,000, each as long as `columns`)."""

    name: str
    columns: Sequence[str]
    rows: Callable[[], Rows]


def files(sheet: Sheet, *, label: str = "") -> None:
    """The buttons that give `sheet` as CSV and as Parquet; inside a horizontal container. `label` says what is cut."""
    for kind, make, mime in (
        ("CSV", as_csv, "text/csv"),
        ("Parquet", as_parquet, "application/vnd.apache.parquet"),
    ):
        st.download_button(
            f"{kind}{f', {label}' if label else ''}",
            data=on_click(partial(make, sheet)),
            file_name=f"{sheet.name}-{datetime.now(words.zone()):%Y%m%d-%H%M}.{kind.lower()}",
            mime=mime,
            key=f"{sheet.name}_{kind.lower()}",
            icon=":material/download:",
            on_click="ignore",
        )


def as_csv(sheet: Sheet) -> bytes:
    """The table as CSV in UTF-8 with a byte order mark; times are UTC. Raises what `rows` raises."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(sheet.columns)
    writer.writerows([_cell(value) for value in row] for row in _bounded(sheet))
    return text.getvalue().encode("utf-8-sig")


def as_parquet(sheet: Sheet) -> bytes:
    """The table as Parquet; amounts stay decimals, times are UTC with their zone. Raises what `rows` raises."""
    frame = pd.DataFrame(
        [[_plain(value) for value in row] for row in _bounded(sheet)], columns=list(sheet.columns)
    )
    return frame.to_parquet(index=False)


def _bounded(sheet: Sheet) -> Rows:
    for number, row in enumerate(sheet.rows()):
        if number == MOST_IN_FILE:
            return
        yield row


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds")
    plain = _plain(value)
    return f"'{plain}" if isinstance(plain, str) and plain.startswith(_FORMULA) else plain


def _plain(value: object) -> object:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value
