"""The left panel: the fields of a character, and how they are shown, typed and saved.

Python never writes into a field: a row arrives as the value of `Record`, and the page's script decides what the
fields show, because only it knows what is being typed at that moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import gradio as gr

from core import catalog, characters
from core.errors import BadRequest, Conflict, PolicyRefused, StudioError
from core.values import Character, CharacterId, ContentRating, Gender, Person
from studio import components
from studio.asking import QUIET, Asking, sent, sent_id, told

LABELS: Final[Mapping[str, str]] = {
    "name": "Name",
    "gender": "Gender",
    "content_rating": "Rating",
    "description": "Description",
    "role": "Role",
    "traits": "Details",
    "appearance_tags": "Physical tags",
    "clothing_tags": "Default outfit",
}
FIELDS: Final = tuple(LABELS)
LISTS: Final = frozenset({"appearance_tags", "clothing_tags"})
CHOSEN: Final = ("gender", "content_rating", *sorted(LISTS))  # edits the page's script cannot see as typing
OPTIONAL: Final = frozenset({"role", "traits"})
MOST_TAGS: Final = 20  # of each kind (SPEC "characters")
LONGEST_TAG: Final = 40
LONGEST_TEXT: Final = 20_000  # what the page sends at most for one field; the rules of each are core's
GENDERS: Final = [
    ("Female", Gender.female.value),
    ("Male", Gender.male.value),
    ("Non-binary", Gender.non_binary.value),
    ("Unspecified", Gender.unspecified.value),
]
RATINGS: Final = [("Safe for work", ContentRating.sfw.value), ("Adult", ContentRating.nsfw.value)]

FILL = "(record, ...values) => window.studio.fill(record, values)"
WEAR = "(...values) => window.studio.putOn(values)"


@dataclass(frozen=True, kw_only=True)
class Editor:
    """The parts other parts talk to. `fields` holds the inputs in the order of FIELDS."""

    record: gr.HTML
    fields: Sequence[gr.components.Component]
    models: gr.HTML


def build(asking: Asking) -> Editor:
    """Draw the panel; `wire` connects it once the rest of the page stands."""
    record = components.record(FIELDS)
    components.conflict(LABELS)
    with gr.Column(elem_id="rail", scale=0, min_width=280):
        with gr.Accordion("Basics", open=True, elem_id="basics"):
            basics = _basics(asking)
        with gr.Accordion("Appearance", open=True, elem_id="appearance"):
            looks, styles, models = _appearance()
    fields = [{**basics, **looks}[name] for name in FIELDS]
    for name in CHOSEN:
        field = fields[FIELDS.index(name)]
        field.input(None, field, None, js=f"(value) => {{ window.studio.edited({{ {name}: value }}) }}")
    styles.wear(None, fields, fields, js=WEAR)
    return Editor(record=record, fields=fields, models=models)


def _basics(asking: Asking) -> dict[str, gr.components.Component]:
    is_safe_only = not asking.services.settings.allow_nsfw
    made: dict[str, gr.components.Component] = {}
    made["name"] = gr.Textbox(label="Name", placeholder="Who is it?", max_lines=1, elem_id="f_name")
    components.field_note("name", most=50)
    made["gender"] = gr.Radio(GENDERS, label="Gender", elem_id="f_gender", elem_classes="chips")
    components.field_note("gender")
    made["content_rating"] = gr.Radio(
        RATINGS, label="Rating", elem_id="f_content_rating", elem_classes="chips"
    )
    components.field_note(
        "content_rating",
        hint="This studio makes safe pictures only." if is_safe_only else "",
        closed=(ContentRating.nsfw.value,) if is_safe_only else (),
    )
    made["description"] = gr.Textbox(
        label="Description",
        placeholder="What makes this person who they are: work, habits, what they look like at first sight.",
        lines=5,
        max_lines=12,
        elem_id="f_description",
    )
    components.field_note("description", hint="50 to 500 characters.", least=50, most=500)
    made["role"] = gr.Textbox(
        label="Role", placeholder="Night-shift baker, harbour pilot …", max_lines=1, elem_id="f_role"
    )
    components.field_note("role")
    return made


def _appearance() -> tuple[dict[str, gr.components.Component], gr.HTML, gr.HTML]:
    made: dict[str, gr.components.Component] = {}
    limits = catalog.load().words.limits
    styles = components.style_chips(_styles(), most=MOST_TAGS)
    made["traits"] = gr.Textbox(
        label="Details",
        placeholder="Anything else one sees: a scar, a tattoo, the way they stand.",
        lines=2,
        max_lines=8,
        elem_id="f_traits",
    )
    components.field_note("traits")
    made["appearance_tags"] = components.tag_chips(
        "f_appearance_tags",
        label="Physical tags",
        most=MOST_TAGS,
        longest=LONGEST_TAG,
        used=limits.appearance_tags,
    )
    components.field_note(
        "appearance_tags", hint=f"The first {limits.appearance_tags} are used in the prompt."
    )
    made["clothing_tags"] = components.tag_chips(
        "f_clothing_tags",
        label="Default outfit",
        most=MOST_TAGS,
        longest=LONGEST_TAG,
        used=limits.clothing_tags,
    )
    components.field_note("clothing_tags", hint=f"The first {limits.clothing_tags} are used in the prompt.")
    components.reference_card()
    models = components.model_picker("models_rail", is_wide=True)
    return made, styles, models


def _styles() -> list[dict[str, object]]:
    return [
        {"key": style.key, "label": style.label, "hint": style.words, "tags": {"appearance_tags": style.tags}}
        for style in catalog.load().style_presets
    ]


def values(character: Character) -> dict[str, object]:
    """What the fields show of a row: text for text, lists for lists, nothing as an empty text."""
    return {
        name: list(getattr(character, name)) if name in LISTS else getattr(character, name) or ""
        for name in FIELDS
    }


def shown(
    character: Character | None, *, is_forced: bool = False, is_made: bool = False
) -> dict[str, object]:
    """The value of `Record`."""
    if character is None:
        return {"id": None, "fields": FIELDS}
    return {
        "id": str(character.id),
        "version": character.version,
        "fields": FIELDS,
        "values": values(character),
        "forced": is_forced,
        "made": is_made,
    }


def wire(asking: Asking, badge: gr.HTML) -> None:
    """Connect saving."""

    def save(request: gr.Request, event: gr.EventData) -> dict[str, object]:
        with told():  # a bug leaves the badge without an answer: after a while it says so and keeps the words
            answer = _saved(asking, request, event)
        return {**answer, "number": str(sent(event).get("number") or "")}

    badge.save(save, None, badge, trigger_mode="multiple", **QUIET)


def fill_after(event: Callable[..., object], editor: Editor) -> None:
    """After an event that brought a row: let the page's script put it into the fields."""
    event(None, [editor.record, *editor.fields], list(editor.fields), js=FILL)


def _saved(asking: Asking, request: gr.Request, event: gr.EventData) -> dict[str, object]:
    """Save what was sent; every expected failure becomes an answer that the badge can show."""
    try:
        person = asking.person(request)
        character_id = CharacterId(sent_id(event))
        saved = characters.save(
            character_id, _changes(event), version=_version(event), person=person, services=asking.services
        )
    except Conflict as error:
        return _conflict(asking, person, character_id, error)
    except (PolicyRefused, BadRequest) as error:
        return {"state": "refused", "sentence": error.sentence, "field": error.field}
    except StudioError as error:
        return {"state": "failed", "sentence": error.sentence}
    return {"state": "saved", "id": str(saved.id), "version": saved.version}


def _conflict(
    asking: Asking, person: Person, character_id: CharacterId, error: Conflict
) -> dict[str, object]:
    try:
        theirs = characters.load(character_id, person, asking.services)
    except StudioError as gone:
        return {"state": "failed", "sentence": gone.sentence}
    return {
        "state": "conflict",
        "sentence": error.sentence,
        "version": theirs.version,
        "theirs": values(theirs),
    }


def _version(event: gr.EventData) -> int:
    version = sent(event).get("version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise BadRequest("The page sent no version of the character. Reload the page.", field="version")
    return version


def _changes(event: gr.EventData) -> dict[str, object]:
    """The changed fields a script sent, as columns of a character. Raises BadRequest for anything else."""
    data = sent(event).get("changes")
    if not isinstance(data, dict) or not data or not set(data) <= set(FIELDS):
        raise BadRequest("The page sent fields this studio does not know. Reload the page.", field="changes")
    return {name: _column(name, value) for name, value in data.items()}


def _column(name: str, value: object) -> object:
    if name in LISTS:
        if not isinstance(value, list) or len(value) > 10 * MOST_TAGS:
            raise BadRequest("These tags could not be read. Type them again.", field=name)
        return tuple(str(tag)[:LONGEST_TEXT] for tag in value)
    text = str(value if value is not None else "")
    if len(text) > LONGEST_TEXT:
        raise BadRequest(f"This is longer than {LONGEST_TEXT:,} characters. Shorten it.", field=name)
    return None if name in OPTIONAL and not text.strip() else text


def opened(asking: Asking, person: Person, character_id: UUID) -> Character:
    """The row to show. Raises NotFound where there is none this person may see."""
    return characters.load(CharacterId(character_id), person, asking.services)


def wire_pushed(asking: Asking, editor: Editor, pushed: Callable[..., gr.events.Dependency]) -> None:
    """Connect what other people, and other tabs, change."""

    def refreshed(request: gr.Request, event: gr.EventData) -> dict[str, object]:
        with told():
            return shown(opened(asking, asking.person(request), sent_id(event)))

    fill_after(pushed(refreshed, None, editor.record, trigger_mode="always_last", **QUIET).then, editor)
