"""Jobs that do not move by themselves, one of each kind (SPEC "When things go wrong by themselves"), and jobs that only
look so.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from core import billing, generation, recovery
from core.audit.autosave import Reason
from core.db import demo, jobs, models, workers
from core.demo.cast import ARI, BRUNO, CASS, QUINN, the_id, the_job
from core.demo.manifest import Page, Repair
from core.demo.unsaved import forget_copies
from core.demo.workshop import Workshop
from core.providers.endings import Ending, Endings
from core.running import UNKNOWN_WORDS
from core.values import JobId, JobStage, JobStatus, ModelId, PriceUnit

_SHORT = timedelta(minutes=9)  # until a provider deletes a paid result
_WEEK = 7 * 24 * 3600  # seconds


def plant(workshop: Workshop) -> None:
    """All kinds of them, and the provider and the worker that are to blame for some."""
    _result_there(workshop)
    _receipt_there(workshop)
    _receipt_without_a_key(workshop)
    _never_sent(workshop)
    _no_entry(workshop)
    _begun_thrice(workshop)
    _no_receipt(workshop)
    _outcome_unknown(workshop)
    _platform_bare(workshop)
    _failed_with_result(workshop)
    _failed_and_open(workshop)
    _worker_gone(workshop)


def _plant(workshop: Workshop, word: str, job_id: JobId, says: str, repair: Repair = Repair.recover) -> None:
    workshop.plant(f"stuck.{word}", Page.stuck, ("jobs", job_id), says, repair, job=job_id)


def _quiet(workshop: Workshop, job_id: JobId, minutes: float) -> None:
    """Asked a while ago, silent since, and the queue knows nothing of it."""
    workshop.take_entries(job_id)
    with workshop.before_the_studio() as conn:
        demo.date_job(conn, job_id, asked_at=workshop.ago(minutes=minutes + 1), seconds=20)
        demo.silence(conn, job_id, since=workshop.ago(minutes=minutes))


def _result_there(workshop: Workshop) -> None:
    """(a) Its picture is in the workspace, and the job was never completed."""
    job_id = workshop.make("serafina", "ringing the bell", model="sketch")
    forget_copies(workshop, job_id)
    with workshop.before_the_studio() as conn:
        demo.break_rows(conn, "NEVER_RECORDED", job_id)
        demo.follow_newest(conn, workshop.characters["serafina"])
    _quiet(workshop, job_id, 50)
    _plant(workshop, "result_there", job_id, "the job was not completed")
    workshop.plant_reason(Reason.NOT_COMPLETED, job_id, Repair.repair_autosave)


def _receipt_there(workshop: Workshop) -> None:
    """(b) Paid for and drawn, and nobody waits for it; its provider keeps it a few minutes more."""
    job_id = workshop.ask("serafina", "counting coins", model="sketch")
    workshop.send(workshop.claim(job_id), receipt=True)
    _quiet(workshop, job_id, 25)
    with workshop.services.db.as_service() as conn:
        demo.expire_result(conn, job_id, at=workshop.now + _SHORT)
    _plant(workshop, "receipt_there", job_id, "nobody waits for it")
    _at_risk(workshop, job_id, Repair.recover)


def _receipt_without_a_key(workshop: Workshop) -> None:
    """(b) Paid for at a provider that has no key here any more."""
    job_id = workshop.ask("serafina", "waving from platform nine", model="runpod")
    workshop.send(workshop.claim(job_id), receipt=True)
    _quiet(workshop, job_id, 18)
    _plant(workshop, "no_key", job_id, "has no key here any more", Repair.admin)
    _at_risk(workshop, job_id, Repair.admin)


def _at_risk(workshop: Workshop, job_id: JobId, repair: Repair) -> None:
    where = ("submissions", job_id)
    workshop.plant("risk.expiring", Page.overview, where, "expire", repair, job=job_id)


def _never_sent(workshop: Workshop) -> None:
    """(c) Claimed by a worker that went before it sent anything."""
    job_id = workshop.ask("serafina", "reading the timetable aloud", model="sketch")
    workshop.claim(job_id)
    _quiet(workshop, job_id, 22)
    _plant(workshop, "never_sent", job_id, "It was never sent")


def _no_entry(workshop: Workshop) -> None:
    """(c) Queued, and the queue does not know it."""
    job_id = workshop.ask("serafina", "polishing a handrail", model="sketch")
    _quiet(workshop, job_id, 35)
    _plant(workshop, "no_entry", job_id, "It was never sent")


def _begun_thrice(workshop: Workshop) -> None:
    """(c) Begun three times: it is given up."""
    job_id = workshop.ask("serafina", "juggling tickets")
    with workshop.before_the_studio() as conn:
        demo.break_rows(conn, "BEGUN_THRICE", job_id)
    _quiet(workshop, job_id, 41)
    _plant(workshop, "begun_thrice", job_id, "begun 3 times")


def _no_receipt(workshop: Workshop) -> None:
    """(d) Sent, and the worker died before the answer; nobody has said so yet."""
    job_id = workshop.ask("serafina", "in the driver's seat")
    workshop.send(workshop.claim(job_id), receipt=False)
    _quiet(workshop, job_id, 16)
    _plant(workshop, "no_receipt", job_id, "no receipt came back", Repair.person)


def _outcome_unknown(workshop: Workshop) -> None:
    """(d) The same, and it is known: QA looks it up."""
    job_id = workshop.ask("serafina", "with a lost umbrella")
    job = workshop.claim(job_id)
    workshop.send(job, receipt=False)
    with workshop.services.db.as_service() as conn:
        jobs.mark_unknown(conn, job, UNKNOWN_WORDS % "fal")
    _quiet(workshop, job_id, 130)
    says = "without a receipt"
    _plant(workshop, "outcome_unknown", job_id, says, Repair.person)


def _platform_bare(workshop: Workshop) -> None:
    """(e) The platform's job, with neither a result nor a receipt."""
    job_id = the_job("bare")
    with workshop.on_the_platform() as conn:
        about = {"character_name": "A lady with a parrot"}
        asked_at = workshop.ago(minutes=47)
        demo.platform_job(conn, job_id, CASS.id, status="processing", asked_at=asked_at, metadata=about)
    _plant(workshop, "platform_bare", job_id, "without a result or a receipt", Repair.person)


def _failed_with_result(workshop: Workshop) -> None:
    """A clean-up failed it although its picture is there."""
    job_id = workshop.make("serafina", "closing the doors", model="sketch")
    forget_copies(workshop, job_id)
    with workshop.before_the_studio() as conn:
        demo.break_rows(conn, "FAILED_WITH_RESULT", job_id)
        demo.follow_newest(conn, workshop.characters["serafina"])
    _quiet(workshop, job_id, 75)
    _plant(workshop, "failed_with_result", job_id, "its picture came all the same")
    workshop.plant_reason(Reason.NOT_COMPLETED, job_id, Repair.repair_autosave)


def _failed_and_open(workshop: Workshop) -> None:
    """Failed by a deadline, and its paid result was never asked for again."""
    job_id = workshop.ask("serafina", "at the last stop", model="sketch")
    job = workshop.claim(job_id)
    workshop.send(job, receipt=True)
    with workshop.services.db.as_service() as conn:
        late = (
            "Sketch took longer than 30 min. It was asked to stop; should the picture still come, it is kept."
        )
        jobs.end(conn, job, JobStatus.failed, code="TIMED_OUT", words=late)
    _quiet(workshop, job_id, 90)
    _plant(workshop, "failed_and_open", job_id, "paid picture may still come")


def _worker_gone(workshop: Workshop) -> None:
    """One worker is gone without a word; another left as it should; a third lives."""
    gone, left, alive = the_id("easel-2"), the_id("easel-3"), the_id("easel-1")
    with workshop.services.db.as_service() as conn:
        for number, one in enumerate((alive, gone, left), 1):
            workers.beat(conn, one, host=f"demo-easel-{number}", pid=4200 + number)
        demo.silence_worker(conn, gone, since=workshop.ago(minutes=26))
        workers.stopped(conn, left)
    where = ("workers", gone)
    workshop.plant("system.worker_gone", Page.system, where, "gone", Repair.admin)
    workshop.clear("system.worker_left", ("workers", left), "This worker left by itself and said so.")


def pause_provider(workshop: Workshop) -> None:
    """The last thing that happens: a balance is empty, and its provider is paused for everybody."""
    error = Endings(name="Novita", key="NOVITA_API_KEY", kept="an hour").rejected(Ending.balance_empty)
    job_id = workshop.ask("serafina", "with an empty purse", model="novita")
    with workshop.refusing("novita", error):
        workshop.carry(job_id)
    workshop.take_entries(job_id)
    with workshop.services.db.as_service() as conn:
        models.pause(conn, "novita", error.sentence, seconds=_WEEK)
        models.pause(conn, "replicate", "Replicate did not accept our key.", seconds=_WEEK)
    with workshop.services.db.as_user(ARI) as conn:
        models.resume_as(conn, "replicate", why="The key was mended")
    where = ("provider_state", "novita")
    workshop.plant("system.provider_paused", Page.system, where, "paused", Repair.admin)
    workshop.clear("system.pause_over", ("provider_state", "replicate"), "Its pause was lifted by an admin.")


# -- what only looks stuck --------------------------------------------------------------------------------------------


def innocents(workshop: Workshop) -> None:
    """Waiting, being made in every stage, slow but alive, waiting for a character."""
    waiting = workshop.ask("serafina", "waiting on the bench")
    workshop.clear("stuck.queued", ("jobs", waiting), "It waits for its turn in the queue.", job=waiting)
    stages = (
        (JobStage.sending, None, None),
        (JobStage.provider_queue, None, 3),
        (JobStage.drawing, 0.62, None),
        (JobStage.fetching, None, None),
    )
    for stage, progress, position in stages:
        job_id = workshop.ask("serafina", f"in the middle of {stage.value.replace('_', ' ')}")
        job = workshop.claim(job_id)
        workshop.send(job, receipt=stage is not JobStage.sending)
        with workshop.services.db.as_service() as conn:
            demo.hold_entry(conn, job_id)
            jobs.beat(conn, job, stage=stage, progress=progress, queue_position=position)
        why = "A worker that lives is at it."
        workshop.clear(f"stuck.{stage}", ("jobs", job_id), why, job=job_id)
    _cancelling(workshop)
    _slow(workshop)
    _waits_for_a_character(workshop)
    _purged(workshop)


def _cancelling(workshop: Workshop) -> None:
    job_id = workshop.ask("serafina", "changing her mind")
    workshop.send(workshop.claim(job_id), receipt=True)
    generation.cancel(job_id, BRUNO, workshop.played)
    with workshop.services.db.as_service() as conn:
        demo.hold_entry(conn, job_id)
    why = "It was sent, and its provider is asked to stop: it stays until that one ends."
    workshop.clear("stuck.cancelling", ("jobs", job_id), why, job=job_id)


def _slow(workshop: Workshop) -> None:
    """A model that may take its time: silent for longer than others may be, and not stuck."""
    with workshop.services.db.as_service() as conn:
        like = workshop.models["sketch"]
        made = demo.insert_slow_model(
            conn, like=like, key="sketch/oil-painting", name="Sketch, in oil", stuck_after=_WEEK
        )
    workshop.models = {**workshop.models, "slow": ModelId(made)}
    drawn = "It is drawn on this machine"
    billing.set_price(ModelId(made), PriceUnit.image, Decimal(0), ARI, workshop.services, source=drawn)
    job_id = workshop.ask("serafina", "in oil, which must dry", model="slow")
    workshop.send(workshop.claim(job_id), receipt=True)
    with workshop.before_the_studio() as conn:
        demo.hold_entry(conn, job_id)
        demo.date_job(conn, job_id, asked_at=workshop.ago(minutes=55), seconds=60)
        demo.silence(conn, job_id, since=workshop.ago(minutes=40))
    why = "Its model may be silent for a week, and a worker holds it."
    workshop.clear("stuck.slow", ("jobs", job_id), why, job=job_id)


def _waits_for_a_character(workshop: Workshop) -> None:
    """A finished portrait whose character nobody has made yet."""
    job_id = workshop.make("serafina", "as somebody else", model="sketch")
    forget_copies(workshop, job_id)
    with workshop.before_the_studio() as conn:
        demo.date_job(conn, job_id, asked_at=workshop.ago(hours=2), seconds=4)
        demo.break_rows(conn, "NAMES_NOBODY", job_id, name="Nobody Yet")
        demo.follow_newest(conn, workshop.characters["serafina"])
    why = "No character bears its name yet; its picture is kept until one does."
    workshop.clear("autosave.WAITS_FOR_CHARACTER", ("jobs", job_id), why, job=job_id)


def _purged(workshop: Workshop) -> None:
    """Ended by QA, with a reason: nothing is to be waited for."""
    job_id = workshop.ask("serafina", "nobody remembers why")
    workshop.take_entries(job_id)
    recovery.purge([job_id], QUINN, workshop.services, why="Asked for by mistake, twice")
    workshop.clear("stuck.purged", ("jobs", job_id), "QA ended it with a reason.", job=job_id)
