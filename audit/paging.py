"""Pages by key: the place in a list stands in the address, as `before` or `after` a row's key."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

import streamlit as st

K = TypeVar("K")
BEFORE, AFTER = "before", "after"


class Turned(Protocol):
    """A page of a list as `core.audit` gives it: the keys that lead on, None where nothing is there."""

    @property
    def newer(self) -> object | None:
        """What leads towards the beginning."""
        ...

    @property
    def older(self) -> object | None:
        """What leads towards the end."""
        ...


def place(read: Callable[[str], K | None], *, prefix: str = "") -> tuple[K | None, K | None]:
    """The keys (before, after) that the address names; a key that cannot be read is none."""
    before, after = (read(st.query_params.get(prefix + name, "")) for name in (BEFORE, AFTER))
    return before, after


def go(*, before: object | None = None, after: object | None = None, prefix: str = "") -> None:
    """Turn to another part of the list; to its beginning without a key. For a button's `on_click`."""
    for name, key in ((BEFORE, before), (AFTER, after)):
        st.query_params.pop(prefix + name, None)
        if key is not None:
            st.query_params[prefix + name] = str(key)


def buttons(page: Turned, *, prefix: str = "") -> None:
    """The two buttons that turn the list; inside a horizontal container."""
    st.button(
        "Newer",
        key=f"{prefix}newer",
        icon=":material/chevron_left:",
        disabled=page.newer is None,
        on_click=partial(go, after=page.newer, prefix=prefix),
    )
    st.button(
        "Older",
        key=f"{prefix}older",
        icon=":material/chevron_right:",
        icon_position="right",
        disabled=page.older is None,
        on_click=partial(go, before=page.older, prefix=prefix),
    )
