"""One job's story in order: what the database's trigger wrote, and what went to the provider and came back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from audit import activity_words, words
from core.audit import activity
from core.audit.job_history import BulkItem, History
from core.audit.jobs import Event, Sent, Story
from core.callbacks import Deed
from core.db.callbacks import Callback
from core.db.recoveries import RecordedStep
from core.values import JobStage, JobStatus

_ENDS = {
    JobStatus.completed: ("good", "Completed"),
    JobStatus.failed: ("bad", "Failed"),
    JobStatus.cancelled: ("calm", "Cancelled"),
}
_STAGE_TONES = {JobStage.saved: "good", JobStage.outcome_unknown: "warn", JobStage.cancelling: "warn"}
_STAGE_DETAILS = {
    JobStage.waiting: "Its turn comes again later.",
    JobStage.sending: "The intent is written down; the paid request leaves.",
    JobStage.saving: "The picture is checked and stored, and on its way into the library.",
    JobStage.saved: "In the library, as a portrait.",
    JobStage.cancelling: "The provider is asked to stop; it may still finish.",
    JobStage.outcome_unknown: "The paid request left, and no receipt came. It is never sent again by itself.",
}
_BULK_TONES = {"done": "good", "refused": "warn", "failed": "bad"}
_STEPS = {
    "complete": "completed from its picture",
    "ask": "its provider is asked",
    "requeue": "back to the queue",
    "give_up": "given up",
    "unknown": "marked as outcome unknown",
    "save": "saving queued",
    "match": "its character is looked for",
    "publish": "publishing queued",
    "rescue": "its paid picture is asked for",
    "adopt": "the platform's request taken over",
    "person": "a person decides",
    "wait": "it waits",
}

_DEEDS = {
    Deed.receipt_kept: ("good", "It brought the receipt that had not come."),
    Deed.asking: ("accent", "It is not signed, so the provider is asked whether it is true."),
    Deed.not_confirmed: ("warn", "The provider was asked and knows no such request: nothing was kept."),
    Deed.woke: ("accent", "The provider is asked at once."),
    Deed.rescue: ("accent", "The job had ended; its paid picture is asked for at once."),
    Deed.nothing_left: ("calm", "All was settled before."),
    Deed.contradiction: ("warn", "The request had been taken for refused: there is a finding."),
}


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One line of the story; `tone` as in `look.badge`."""

    at: datetime
    title: str
    detail: str = ""
    code: str = ""
    tone: str = "calm"


def moments(story: Story, history: History | None = None) -> list[Moment]:
    """The whole story, oldest first, with what was done about it where that is known."""
    found = [*_of_events(story), *(moment for sent in story.sent for moment in _of_sent(sent))]
    found += [_of_callback(one) for one in story.callbacks]
    found += _of_file(story)
    if history is not None:
        found += [_of_step(one) for one in history.steps]
        found += [_of_deed(one) for one in history.events]
        found += [_of_bulk(one) for one in history.bulk]
    return sorted(found, key=lambda moment: moment.at)


def _of_file(story: Story) -> Iterator[Moment]:
    """When the picture came into the library, and went out of it."""
    if item := story.library:
        size = f"{item.width} × {item.height}, " if item.width else ""
        yield Moment(
            at=item.created_at,
            title="Copied to the library",
            detail=f"{size}{words.size(item.file_size_bytes)}.",
            tone="good",
        )
        if item.deleted_at:
            yield Moment(at=item.deleted_at, title="Removed from the library", tone="warn")


def _of_step(step: RecordedStep) -> Moment:
    often = f" {step.times} times, last {words.moment(step.last_at)}." if step.times > 1 else ""
    who = words.who(step.who) if step.who else "the schedule"
    return Moment(
        at=step.first_at,
        title=f"Recovery: {_STEPS.get(step.action, step.action.replace('_', ' '))}",
        detail=f"{step.why} Asked for by {who}.{often}",
        tone="accent",
    )


def _of_deed(event: activity.Event) -> Moment:
    changed = "; ".join(f"{one.name}: {_changed(one)}" for one in activity.changes(event))
    why = f"“{event.why}”" if event.why else ""
    return Moment(
        at=event.at,
        title=f"{activity_words.action(event.action)}, by {words.who(event.who)}",
        detail=" ".join(filter(None, (why, changed))),
        tone="warn",
    )


def _changed(change: activity.Change) -> str:
    if change.before is None or change.after is None:
        return change.after if change.before is None else f"was {change.before}"
    return f"{change.before} → {change.after}"


def _of_bulk(item: BulkItem) -> Moment:
    return Moment(
        at=item.ended_at or item.asked_at,
        title=f"In a bulk action of {words.who(item.asked_by)}: {item.kind.replace('_', ' ')}, {item.state}",
        detail=" ".join(filter(None, (f"“{item.why}”", item.sentence))),
        tone=_BULK_TONES.get(item.state, "calm"),
    )


def _of_events(story: Story) -> Iterator[Moment]:
    lease, stage = 0, ""
    for event in story.events:
        if moment := _of_event(event, lease, stage, story):
            yield moment
        lease, stage = event.lease, event.stage or ""


def _of_event(event: Event, lease: int, stage: str, story: Story) -> Moment | None:
    """What one transition says beyond the one before it; None where it says nothing new to a person."""
    if event.from_status is None:
        return Moment(at=event.at, title="Asked for", detail=_asked_in(event))
    if event.note == "cancel asked":
        return Moment(at=event.at, title="A person asked to stop", tone="warn")
    if event.to_status not in (event.from_status, JobStatus.processing):
        return _moved(event, story)
    if event.lease != lease:
        return _taken(event)
    return _at_stage(event) if event.stage and event.stage != stage else None


def _moved(event: Event, story: Story) -> Moment:
    if event.to_status == JobStatus.queued:
        return Moment(at=event.at, title="Back in the queue", detail="Nothing had been sent.", tone="warn")
    return _end(event, story)


def _asked_in(event: Event) -> str:
    return (
        "By the platform."
        if event.note == "platform"
        else "In the studio; job, estimate and queue entry at once."
    )


def _end(event: Event, story: Story) -> Moment:
    tone, title = _ENDS[JobStatus(event.to_status)]
    # Only the last sentence is kept in the row, and a failed job's stands above its story already.
    last = event.error_code == story.job.error_code and story.job.status is not JobStatus.failed
    said = words.sentence(story.job.error_message or "") if last else ""
    return Moment(at=event.at, title=title, detail=said, code=event.error_code or "", tone=tone)


def _taken(event: Event) -> Moment:
    if event.lease == 1:
        return Moment(at=event.at, title="A worker took it", tone="accent")
    return Moment(
        at=event.at, title=f"Taken over: run {event.lease}", detail="Another run began.", tone="accent"
    )


def _at_stage(event: Event) -> Moment:
    stage = event.stage or ""
    return Moment(
        at=event.at,
        title=words.STAGES.get(stage, stage),
        detail=_STAGE_DETAILS.get(JobStage(stage), "") if stage in set(JobStage) else "",
        code=event.error_code if event.error_code and event.error_code.lower() != stage else "",
        tone=_STAGE_TONES.get(JobStage(stage), "accent") if stage in set(JobStage) else "accent",
    )


def _of_sent(sent: Sent) -> Iterator[Moment]:
    provider = words.provider(sent.provider)
    again = f" (attempt {sent.attempt})" if sent.attempt > 1 else ""
    yield Moment(
        at=sent.submitted_at, title=f"Paid request to {provider}{again}", detail=sent.model_key, tone="accent"
    )
    if sent.received_at:
        yield Moment(
            at=sent.received_at, title="Receipt stored", detail=f"Request {sent.request_id}", tone="good"
        )
    if sent.settled_at:
        yield Moment(
            at=sent.settled_at,
            title="Request settled",
            detail=f"{words.OUTCOMES.get(sent.outcome, sent.outcome)} (written by {words.settler(sent.settled_by or '')}).",
            tone="good" if sent.outcome == "finished" else "warn",
        )


def _of_callback(callback: Callback) -> Moment:
    deed = Deed(callback.last_deed) if callback.last_deed in set(Deed) else Deed.nothing_left
    tone, detail = _DEEDS.get(deed, ("calm", ""))
    often = f" It came {callback.times} times." if callback.times > 1 else ""
    return Moment(
        at=callback.first_at,
        title=f"{words.provider(callback.provider)} reported",
        detail=detail + often,
        code=callback.word,
        tone=tone,
    )
