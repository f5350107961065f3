"""The page's own components. Each is a folder with a constant template, a script and a style.

Templates hold no data at all: Gradio runs `${…}` inside a rendered `{{value}}` as JavaScript. What people wrote
travels as the component's value and reaches the page in the script, through textContent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

import gradio as gr

FOLDER = Path(__file__).parent


@cache
def _read(part: str, ending: str) -> str:
    return (FOLDER / part / f"{part}.{ending}").read_text(encoding="utf-8")

from gradio.events import Dependency

class Part(gr.HTML):
    """A component of ours; `own` are constants for its script, never what a person wrote."""

    part: ClassVar[str]
    schema: ClassVar[Mapping[str, object]] = {"type": "object"}

    def __init__(
        self,
        value: object = None,
        *,
        elem_id: str | None = None,
        elem_classes: str | None = None,
        visible: bool | Literal["hidden"] = True,
        **own: object,
    ) -> None:
        super().__init__(
            value=value,
            html_template=_read(self.part, "html").strip(),
            js_on_load=_read(self.part, "js"),
            apply_default_css=False,
            elem_id=elem_id,
            elem_classes=elem_classes,
            visible=visible,
            **own,
        )

    def api_info(self) -> dict[str, object]:
        """What the value looks like, for Gradio's own type check."""
        return dict(self.schema)
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class Brand(Part):
    """The product's mark."""

    part = "brand"
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class ThemeToggle(Part):
    """Light or dark."""

    part = "theme_toggle"
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class ViewSwitch(Part):
    """Details or Portraits, on a phone."""

    part = "view_switch"
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class RailEdge(Part):
    """The edge by which the details are made wider: 280 to 480 pixels, remembered by the browser."""

    part = "rail_edge"
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class Bus(Part):
    """One WebSocket a page. Fires `record` {id} and `tiles` {id}: what to ask for again."""

    part = "bus"

    def __init__(self, path: str) -> None:
        super().__init__(visible="hidden", url_=path)
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class Record(Part):
    """The character on the desk. Value: {id, version, fields, values, forced, made}, id None where there is none.

    Fires `open` {id, forced} and `create` {key}.
    """

    part = "record"

    def __init__(self, fields: Sequence[str]) -> None:
        super().__init__(visible="hidden", fields_=list(fields))
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class SaveBadge(Part):
    """Saved, Saving…, Unsaved, Could not save. Fires `save` {id, version, changes, number} `delay_ms` after the
    last edit; the value answers with the same number and a state: saved, refused, conflict or failed.
    """

    part = "save_badge"

    def __init__(self, *, delay_ms: int = 2000, elem_id: str | None = None) -> None:
        super().__init__(elem_id=elem_id, delay_=delay_ms)
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class CharacterPicker(Part):
    """Value: {cards: [{id, name, thumb_url, updated_at, mine}]}. Fires `find` {search}."""

    part = "character_picker"
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class TagChips(Part):
    """Value: a list of short words. Fires `input` on a person's edits only."""

    part = "tag_chips"
    schema: ClassVar[Mapping[str, object]] = {"type": "array", "items": {"type": "string"}}

    def __init__(self, *, label: str, most: int, longest: int, elem_id: str | None = None) -> None:
        super().__init__(value=[], elem_id=elem_id, label_=label, most_=most, longest_=longest)
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class StyleChips(Part):
    """Ready-made looks. `styles`: [{key, label, hint, tags: {field: [word]}}]. Fires `wear` after a press."""

    part = "style_chips"

    def __init__(self, styles: Sequence[Mapping[str, object]], *, most: int) -> None:
        super().__init__(styles_=list(styles), most_=most)
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class FieldNote(Part):
    """Under a field: a hint, what is wrong, and a counter in characters."""

    part = "field_note"

    def __init__(
        self, field: str, *, hint: str = "", least: int = 0, most: int = 0, is_own: bool = False
    ) -> None:
        super().__init__(
            elem_classes="note", field_=field, hint_=hint, least_=least, most_=most, own_=is_own
        )
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class ModelPicker(Part):
    """Value: {choices: [{id, name, provider, price, i2i, seed, available, why_not}], chosen}.

    Every picker of a page shows the same choice; an empty `chosen` leaves it to the routing rules.
    """

    part = "model_picker"

    def __init__(self, *, label: str, is_wide: bool = False, elem_id: str | None = None) -> None:
        super().__init__(elem_id=elem_id, label_=label, wide_=is_wide)
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class FinalPrompt(Part):
    """What will be sent and its price. Value: {prompt, negative, warnings, model, reason, price, price_words,
    problem, asked}. Fires `ask` {id} and `generate` {id, keys}, one key a picture.
    """

    part = "final_prompt"
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class PortraitGrid(Part):
    """Value: {character_id, at, tiles}.

    Fires `act` {action, id, character, key}, `order` {ids, character} and `stale` {character}.
    """

    part = "portrait_grid"
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class Conflict(Part):
    """Shows both texts when two people changed one character. `labels`: the fields' names for people."""

    part = "conflict"

    def __init__(self, labels: Mapping[str, str]) -> None:
        super().__init__(labels_=dict(labels))
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component