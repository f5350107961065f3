"""Judging the portraits of a sample, one after the other, by mouse or keyboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

import streamlit as st

from audit import typed, words
from audit.asking import told
from audit.look import badge, nothing, say
from audit.services import person, services
from core import foreign_paths, sampling
from core.audit.qa import Sample, SampleItem, VerdictRow
from core.errors import BadRequest, NotAllowed, ObjectMissing, StudioError
from core.sampling import LONGEST_NOTE, Verdict
from core.storage import LIBRARY, REFERENCES, External
from core.storage.links import parse_address

PLACE = "portrait"
WORDS: Mapping[Verdict, str] = {
    Verdict.good: "Good",
    Verdict.acceptable: "Acceptable",
    Verdict.bad: "Bad",
    Verdict.not_character: "Not the character",
    Verdict.policy: "Policy problem",
}
TONES: Mapping[Verdict, str] = {
    Verdict.good: "good",
    Verdict.acceptable: "accent",
    Verdict.bad: "bad",
    Verdict.not_character: "warn",
    Verdict.policy: "bad",
}
_SAID, _FAILED, _LAST = "qa_said", "qa_failed", "qa_last"


def draw(sample: Sample, items: Sequence[SampleItem], verdicts: Sequence[VerdictRow]) -> None:
    """The portrait that the address names, else the first one this person has not judged."""
    mine = {one.portrait_id: one for one in verdicts if one.person == person().id}
    there = [one for one in items if one.image_url]
    item = _chosen(items) or next_unjudged(there, mine, None) or (there or items)[0]
    done = sum(one.portrait_id in mine for one in there)
    st.progress(
        done / len(there) if there else 1.0, text=_progress(done, len(there), len(items) - len(there))
    )
    left, right = st.columns([5, 6], gap="large")
    with left:
        _picture(item)
    with right:
        _subject(item)
        if sample.is_open and item.image_url:
            _verdicts(sample, item, there, mine)
        _steps(item, items, there, mine)
        if item.portrait_id in mine or not sample.is_open:
            _told(item, verdicts)


def next_unjudged(
    items: Sequence[SampleItem], mine: Mapping[UUID, VerdictRow], after: SampleItem | None
) -> SampleItem | None:
    """The next portrait this person has not judged, from `after` on and round to the beginning."""
    places = [one.place for one in items]
    start = places.index(after.place) + 1 if after and after.place in places else 0
    turned = [*items[start:], *items[:start]]
    return next((one for one in turned if one.portrait_id not in mine and one != after), None)


def go(place: int | None) -> None:
    """Go to a portrait by its place in the sample; for a button's `on_click`."""
    st.query_params.pop(PLACE, None)
    if place is not None:
        st.query_params[PLACE] = str(place)


def _chosen(items: Sequence[SampleItem]) -> SampleItem | None:
    named = st.query_params.get(PLACE, "")
    return next((one for one in items if str(one.place) == named), None)


def _progress(done: int, total: int, gone: int) -> str:
    left = f", {total - done} to go" if done < total else ": all of them"
    deleted = f" {gone} were deleted since they were drawn." if gone else ""
    return f"You have judged {done} of {total}{left}.{deleted}"


# -- what is judged -------------------------------------------------------------------------------------------------


def _picture(item: SampleItem) -> None:
    if not item.image_url:
        nothing(
            "Deleted",
            "This portrait was deleted after the sample was drawn. It stays in the sample, unjudged.",
        )
        return
    try:
        data = _bytes(*_owned(item.image_url, item.owner, LIBRARY))
        st.image(data, width="stretch", alt=f"The portrait of {item.character}")
    except ObjectMissing:
        nothing("No such object", "The row names a file that is not stored any more. See the auto-save page.")
    except StudioError as error:
        nothing("Not shown", error.sentence)


def _owned(image_url: str, owner: UUID | None, bucket: str) -> tuple[str, str]:
    """The address of a picture in the folder of the character's owner: rows can be written by users.

    Raises NotAllowed, BadRequest.
    """
    address = parse_address(image_url, default_bucket=bucket)
    if isinstance(address, External):
        raise NotAllowed("The row names a picture of another site, so it is not shown.", code="BAD_PATH")
    sentence = "The row names a file of somebody else, so it is not shown."
    whose = owner if address.bucket in (LIBRARY, REFERENCES) else None
    return foreign_paths.own(address, whose, person(), services(), sentence=sentence)


@st.cache_data(ttl=600, max_entries=60, show_spinner=False)
def _bytes(bucket: str, path: str) -> bytes:
    return services().storage.get(bucket, path)


def _subject(item: SampleItem) -> None:
    """Whom the portrait should show; who made it stays unsaid until the verdict is given."""
    tags = "".join(f"<i>{say(tag)}</i>" for tag in item.appearance_tags[:12])
    described = (item.description or "")[:400]
    st.html(
        f'<div class="at-subject"><h2>{say(item.character or "A character that is gone")}</h2>'
        f"<p>{say(described)}</p><div>{tags}</div></div>"
    )
    if item.reference_image_url:
        try:
            data = _bytes(*_owned(item.reference_image_url, item.owner, REFERENCES))
        except (StudioError, BadRequest):
            return
        st.image(data, caption="The reference to be matched", width=140, alt="The reference")


def _verdicts(
    sample: Sample, item: SampleItem, there: Sequence[SampleItem], mine: Mapping[UUID, VerdictRow]
) -> None:
    own = mine.get(item.portrait_id)
    note_key = f"qa_note_{item.portrait_id}"
    typed.begin(note_key, {note_key: (own.note or "") if own else ""})
    st.text_input(
        "Note",
        key=note_key,
        max_chars=LONGEST_NOTE,
        placeholder="What you see. A policy problem needs it.",
    )
    typed.tell(note_key)
    with st.container(horizontal=True, key="qa_verdicts"):
        for number, (verdict, label) in enumerate(WORDS.items(), 1):
            st.button(
                label,
                key=f"qa_{verdict.value}",
                type="primary" if own and own.verdict == verdict else "secondary",
                shortcut=str(number),
                on_click=_give,
                args=(sample, item, verdict, note_key, there, mine),
            )


def _give(
    sample: Sample,
    item: SampleItem,
    verdict: Verdict,
    note_key: str,
    there: Sequence[SampleItem],
    mine: Mapping[UUID, VerdictRow],
) -> None:
    note = str(st.session_state.get(note_key) or "")
    try:
        sampling.judge(sample.id, item.portrait_id, verdict, person(), services(), note=note)
    except StudioError as error:
        typed.refuse(note_key, error)
        return
    typed.drop(note_key)
    st.session_state[_LAST] = item.place
    follower = next_unjudged(there, mine, item)
    changed = item.portrait_id in mine
    say_next(
        f"{'Changed to' if changed else 'Judged'} {WORDS[verdict].lower()}.{'' if follower else ' That was the last one.'}"
    )
    go(item.place if changed or follower is None else follower.place)


def _steps(
    item: SampleItem,
    items: Sequence[SampleItem],
    there: Sequence[SampleItem],
    mine: Mapping[UUID, VerdictRow],
) -> None:
    at = items.index(item)
    follower = next_unjudged(there, mine, item)
    last = st.session_state.get(_LAST)
    with st.container(horizontal=True, key="qa_steps"):
        _step("Previous", "chevron_left", "Left", items[at - 1].place)
        _step("Next", "chevron_right", "Right", items[(at + 1) % len(items)].place)
        _step("Next to judge", "skip_next", "N", follower.place if follower else None)
        if last is not None and last != item.place:
            _step("Change the last one", "undo", "U", last)


def _step(label: str, icon: str, shortcut: str, place: int | None) -> None:
    st.button(
        label,
        key=f"qa_{label.lower().replace(' ', '_')}",
        icon=f":material/{icon}:",
        shortcut=shortcut,
        type="tertiary",
        disabled=place is None,
        on_click=go,
        args=(place,),
    )


def _told(item: SampleItem, verdicts: Sequence[VerdictRow]) -> None:
    """What everybody said, and who made it: seen once one's own verdict is given, or the sample is closed."""
    made = f"{words.provider(item.provider)}, {item.style}, week of {item.week:%-d %b %Y}"
    lines = [_line(one) for one in verdicts if one.portrait_id == item.portrait_id]
    st.html(
        f'<div class="at-told"><p>Made by {say(made)}.</p>{"".join(lines) or "<p>Nobody judged it.</p>"}</div>'
    )


def _line(one: VerdictRow) -> str:
    who = "You" if one.person == person().id else words.short(one.person)
    verdict = Verdict(one.verdict)
    first = f", first {WORDS[Verdict(one.first_verdict)].lower()}" if one.first_verdict != one.verdict else ""
    note = f"<q>{say(one.note)}</q>" if one.note else ""
    return f"<div>{badge(WORDS[verdict], TONES[verdict])}<span>{say(who)}{say(first)}{note}</span></div>"


# -- what is said once ----------------------------------------------------------------------------------------------


def say_next(sentence: str) -> None:
    """Have `sentence` said once the page is drawn again."""
    st.session_state[_SAID] = sentence


def refuse_next(error: StudioError) -> None:
    """Have `error` told once the page is drawn again."""
    st.session_state[_FAILED] = error


def flash() -> None:
    """Say once what was just done, or why it could not be."""
    if said := st.session_state.pop(_SAID, None):
        st.toast(said, icon=":material/check_circle:")
    if error := st.session_state.pop(_FAILED, None):
        told(error)
