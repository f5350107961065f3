"""The studio's look on these pages: its tokens, read from its own sheet, and the parts Streamlit has no element for.

Whatever a person or another program wrote goes through `say` before it becomes part of a page.
"""

from __future__ import annotations

import html
import re
from datetime import datetime
from functools import cache
from pathlib import Path

import streamlit as st

from audit import words

SHEETS = Path(__file__).parent  # look.css for all pages, and one more where a page needs its own
STUDIO = Path(__file__).parents[1] / "studio" / "assets" / "studio.css"
_BLOCK = re.compile(r"^(?::root|body\.dark) \{(.*?)^\}", re.DOTALL | re.MULTILINE)
_TOKEN = re.compile(r"(--ps-[a-z-]+): (#[0-9a-f]{3,8}|rgb\([^)]*\));")


def dress() -> None:
    """Bring the look onto a page; once a run."""
    st.html(f"<style>{_sheet()}</style>")


def say(text: object) -> str:
    """`text` as it may stand inside HTML."""
    return html.escape(str(text), quote=True)


def plain(text: object) -> str:
    """`text` as it may stand inside Markdown: no picture is fetched and no link made by what somebody wrote."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>$:~^])", r"\\\1", str(text))


def badge(words: str, tone: str) -> str:
    """A badge's HTML; `tone` is good, bad, warn, accent or calm."""
    return f'<span class="au-badge" data-tone="{say(tone)}">{say(words)}</span>'


def head(title: str, sentence: str = "") -> None:
    """A page's title, and what it answers in one sentence."""
    told = f"<p>{say(sentence)}</p>" if sentence else ""
    st.html(f'<div class="au-title"><h1>{say(title)}</h1>{told}</div>')


def as_of(at: datetime, more: str = "") -> None:
    """How old what stands above is; every number on a page has one of these below it."""
    st.html(
        f'<p class="au-age au-asof">{say(f"As of {words.clock(at)}.")}{say(f" {more}") if more else ""}</p>'
    )


def nothing(title: str, sentence: str) -> None:
    """Say in the middle of a page that there is nothing to show, and why."""
    st.html(
        f'<div class="au-empty"><span aria-hidden="true"></span><h2>{say(title)}</h2><p>{say(sentence)}</p></div>'
    )


def tokens() -> dict[str, tuple[str, str]]:
    """The studio's colours by name, each in light and in dark."""
    light, dark = (dict(_TOKEN.findall(block)) for block in _BLOCK.findall(STUDIO.read_text("utf-8"))[:2])
    return {name: (value, dark.get(name, value)) for name, value in light.items()}


@cache
def _sheet() -> str:
    colours = "".join(f"{name}:light-dark({light},{dark});" for name, (light, dark) in tokens().items())
    sheets = sorted(SHEETS.glob("*.css"), key=lambda sheet: (sheet.name != "look.css", sheet.name))
    return "\n".join([f":root{{{colours}}}", *(sheet.read_text("utf-8") for sheet in sheets)])
