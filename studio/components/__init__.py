"""The page's own components. Each is a folder with a constant template, a script and a style.

Templates hold no data at all: Gradio runs `${…}` inside a rendered `{{value}}` as JavaScript. What people wrote
travels as the component's value and reaches the page in the script, through textContent.

They are made by functions, not by subclasses of gr.HTML: Gradio writes a .pyi file beside the source of every
subclass while it is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import gradio as gr

from studio.calls import Server

FOLDER = Path(__file__).parent


@cache
def _read(name: str, ending: str) -> str:
    return (FOLDER / name / f"{name}.{ending}").read_text(encoding="utf-8")


def _part(
    name: str,
    *,
    value: object = None,
    elem_id: str | None = None,
    elem_classes: str | None = None,
    visible: bool | Literal["hidden"] = True,
    **own: object,
) -> gr.HTML:
    """The component of that folder; `own` are constants for its script, never what a person wrote."""
    return gr.HTML(
        value=value,
        html_template=_read(name, "html").strip(),
        js_on_load=_read(name, "js"),
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes=elem_classes,
        visible=visible,
        **own,
    )


def brand(elem_id: str) -> gr.HTML:
    """The product's mark."""
    return _part("brand", elem_id=elem_id)


def theme_toggle(elem_id: str) -> gr.HTML:
    """Light or dark."""
    return _part("theme_toggle", elem_id=elem_id)


def account(elem_id: str) -> gr.HTML:
    """Who is signed in, and the ways out; only where people sign in."""
    return _part("account", elem_id=elem_id)


def view_switch(elem_id: str) -> gr.HTML:
    """Details or Portraits, on a phone."""
    return _part("view_switch", elem_id=elem_id)


def stage_tabs(elem_id: str) -> gr.HTML:
    """Portraits or Scenes in the middle of the page; `body[data-stage]` says which."""
    return _part("stage_tabs", elem_id=elem_id)


def scene_board(elem_id: str) -> gr.HTML:
    """Value: {character_id, at, scenes, outfits, limits, answer: {number, state, sentence, field, plan}}.

    Fires `read` {character} and `act` {action, character, number, …}; the answer carries the same number.
    """
    return _part("scene_board", elem_id=elem_id)


def palette(elem_id: str) -> gr.HTML:
    """The commands behind Ctrl K. Value: {people: [{id, name, thumb_url}], search}. Fires `find` {search}."""
    return _part("palette", elem_id=elem_id)


def presence(elem_id: str) -> gr.HTML:
    """Who else has the character on the desk open; it speaks through the page's socket."""
    return _part("presence", elem_id=elem_id)


def card_desk() -> gr.HTML:
    """Dialogs for character cards: many in, one out. It talks to /cards."""
    return _part("card_desk")


def rail_edge(elem_id: str) -> gr.HTML:
    """The edge by which the details are made wider: 280 to 480 pixels, remembered by the browser."""
    return _part("rail_edge", elem_id=elem_id)


def bus(path: str) -> gr.HTML:
    """One WebSocket a page. Fires `record` {id}, and tells the grid what to ask for again."""
    return _part("bus", visible="hidden", url_=path)


def record(fields: Sequence[str], labels: Mapping[str, str]) -> gr.HTML:
    """The character on the desk. Value: {id, version, fields, values, facts, forced, made}, id None where there is none.

    Fires `open` {id, forced}, `create` {template}, `duplicate` {id}, `remove` {id}, `bring_back` {id, public}, and
    `wear` after a part of the page put values into fields.
    """
    return _part("record", visible="hidden", fields_=list(fields), labels_=dict(labels))


def save_badge(elem_id: str, *, delay_ms: int = 2000) -> gr.HTML:
    """Saved, Saving…, Unsaved, Could not save. Fires `save` {id, version, changes, number} `delay_ms` after the
    last edit; the value answers with the same number and a state: saved, refused, conflict or failed.
    """
    return _part("save_badge", elem_id=elem_id, delay_=delay_ms)


def character_picker(elem_id: str) -> gr.HTML:
    """Value: {cards: [{id, name, thumb_url, updated_at, mine}], search, after, more}. Fires `find` {search, after}:
    `after` is the last card of the page above, none for the first page.
    """
    return _part("character_picker", elem_id=elem_id)


def tag_chips(elem_id: str, *, label: str, most: int, longest: int, used: int) -> gr.HTML:
    """Value: a list of short words, of which the prompt takes the first `used`."""
    return _part(
        "tag_chips", value=[], elem_id=elem_id, label_=label, most_=most, longest_=longest, used_=used
    )


def style_chips(styles: Sequence[Mapping[str, object]], *, most: int) -> gr.HTML:
    """Ready-made looks. `styles`: [{key, label, hint, tags: {field: [word]}}]. Fires `wear` after a press."""
    return _part("style_chips", styles_=list(styles), most_=most)


def field_note(
    field: str,
    *,
    hint: str = "",
    least: int = 0,
    most: int = 0,
    is_own: bool = False,
    closed: Sequence[str] = (),
    is_counted_late: bool = False,
    is_proposed: bool = False,
) -> gr.HTML:
    """Under a field: a hint, what is wrong, and a counter in characters (`is_counted_late`: near the end only).

    `is_proposed`: the field gets a button that asks for a suggestion.

    `is_own`: the field is no part of the character, so the note listens to it directly. `closed`: choices that
    only a character that has them already may keep.
    """
    return _part(
        "field_note",
        elem_classes="note",
        field_=field,
        hint_=hint,
        least_=least,
        most_=most,
        own_=is_own,
        closed_=list(closed),
        late_=is_counted_late,
        proposed_=is_proposed,
    )


def model_picker(elem_id: str, *, is_wide: bool = False) -> gr.HTML:
    """Value: {choices: [{id, name, provider, price, i2i, seed, available, why_not, short}], chosen, match, words}.

    Every picker of a page shows the same choice; an empty `chosen` leaves it to the routing rules. In image match
    mode only models that can match a picture are offered, and `words` says how many they are.
    """
    return _part("model_picker", elem_id=elem_id, label_="Model", wide_=is_wide)


def final_prompt(elem_id: str) -> gr.HTML:
    """What will be sent and its price. Value: {prompt, negative, warnings, model, reason, price, price_words,
    problem, asked}. Fires `ask` {id} and `generate` {id, keys, limit}, one key a picture.
    """
    return _part("final_prompt", elem_id=elem_id)


def portrait_grid(elem_id: str, server: Server) -> gr.HTML:
    """Value: {character_id, at, limit, total, in_bin, tiles}: the beginning of the grid.

    Fires `act` {action, id, character, key, limit, …} and `order` {ids, character, limit}. Asks `read` {character,
    limit}, `running` and `every` {character}, `delete` {character, ids} and `restore` {character, ids, star}.
    """
    return _part("portrait_grid", elem_id=elem_id, server_functions=[server])


def stage_tools(elem_id: str) -> gr.HTML:
    """Choosing several portraits, and the bin."""
    return _part("stage_tools", elem_id=elem_id)


def lightbox() -> gr.HTML:
    """One portrait, large. Fires `look` {ids, number}; value: {number, details} or {number, problem}."""
    return _part("lightbox", elem_classes="overlay")


def compare() -> gr.HTML:
    """Two portraits, one over the other; it asks the lightbox for what it shows."""
    return _part("compare", elem_classes="overlay")


def bin_box() -> gr.HTML:
    """Deleted portraits. Value: {character_id, items: [{id, title, url, deleted_at, days_left}]}.

    Fires `look` {character} and `restore` {ids, character, limit}.
    """
    return _part("bin", elem_classes="overlay")


def shot(elem_id: str, kinds: Sequence[Mapping[str, object]]) -> gr.HTML:
    """How the next picture is taken. `kinds`: [{kind, label, choices: [{key, label, words}]}].

    Value: {expression, outfit, camera, seed, keep}.
    """
    return _part("shot", elem_id=elem_id, kinds_=list(kinds))


def reference(elem_id: str) -> gr.HTML:
    """The picture to look like. Value: {character_id, version, was, url, missing, match, words, count, seed, shelf}.

    Fires `choose` {kind, id, character}, `remove`, `fresh` {character}, `match` {on, character} and `shelf`
    {character, search}.
    """
    return _part("reference", elem_id=elem_id)


def reference_card() -> gr.HTML:
    """The reference as the details show it; a press opens the bar's menu."""
    return _part("reference_card", elem_id="reference-card")


def conflict(labels: Mapping[str, str]) -> gr.HTML:
    """Shows both texts when two people changed one character. `labels`: the fields' names for people."""
    return _part("conflict", labels_=dict(labels))


def section_head(key: str, title: str, *, hint: str = "", is_open: bool = True) -> gr.HTML:
    """The first child of a column of class `section`: folds the rest away, and the browser remembers."""
    return _part(
        "section_head", elem_classes="section-head", key_=key, title_=title, hint_=hint, open_=is_open
    )


def avatar(elem_id: str) -> gr.HTML:
    """The character's face, name and state, at the top of the panel."""
    return _part("avatar", elem_id=elem_id)


def rating_question(elem_id: str) -> gr.HTML:
    """Asks once how an adopted character is rated. Fires `settle` {id, version, rating}."""
    return _part("rating_question", elem_id=elem_id)


def entry_list(
    elem_id: str, *, field: str, label: str, entry: str, add: str, most: int, lines: int
) -> gr.HTML:
    """Value: a list of texts, to be added, written, moved and removed."""
    return _part(
        "entry_list",
        value=[],
        elem_id=elem_id,
        field_=field,
        label_=label,
        entry_=entry,
        add_=add,
        most_=most,
        lines_=lines,
    )


def visibility(elem_id: str, *, writer: str) -> gr.HTML:
    """Whether the character is public, and who writes suggestions here."""
    return _part("visibility", elem_id=elem_id, writer_=writer)


def proposals(labels: Mapping[str, str]) -> gr.HTML:
    """Suggestions beside the form. Fires `ask` {id, version, wanted, fields, turn, key, number}; the value answers
    with the same number: {id, proposals: [{field, proposed}], warnings, source, price} or {id, sentence}.
    """
    return _part("proposals", labels_=dict(labels))


def story(labels: Mapping[str, str]) -> gr.HTML:
    """The versions of a character. Value: {id, before, versions, more}. Fires `read` {id, before}."""
    return _part("story", labels_=dict(labels))


def sharing(server: Server) -> gr.HTML:
    """Who works on a character, and the note above the fields of one that may only be looked at. Asks `read`, `add`,
    `change`, `remove` and `leave`.
    """
    return _part("sharing", server_functions=[server])


def publishing() -> gr.HTML:
    """The checks before a character becomes public. Value: {id, version, public, checks, done, sentence}.

    Fires `look` {id} and `turn` {id, public}.
    """
    return _part("publishing")


def preview(*, page: str) -> gr.HTML:
    """The character as the platform will show it. `page`: its address there with {character_id}, or nothing."""
    return _part("preview", page_=page)


def templates(choices: Sequence[Mapping[str, str]]) -> gr.HTML:
    """Ready-made people to start from. `choices`: [{key, name, role, description}]."""
    return _part("templates", choices_=list(choices))


def desk_menu(elem_id: str, *, chat: str, shares: bool) -> gr.HTML:
    """What can be done with the whole character. `chat`: where its chat begins, with {character_id}, or nothing;
    `shares`: there are colleagues to share it with.
    """
    return _part("desk_menu", elem_id=elem_id, chat_=chat, shares_=shares)


def back_button(elem_id: str) -> gr.HTML:
    """Back to what was on the desk before."""
    return _part("back_button", elem_id=elem_id)
