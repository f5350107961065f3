"""The month behind the demo world: characters, portraits that are well, failures in words, attribute images, ratings and
money.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_UP, Decimal

from core import (
    attributes,
    billing,
    budgets,
    characters,
    cleaning,
    generation,
    options,
    portraits,
    references,
    reviews,
    sampling,
    scenes,
)
from core.audit import qa
from core.db import demo, jobs, submissions
from core.demo.cast import ADA, ARI, BRUNO, CAST, PIA, QUINN, the_id
from core.demo.manifest import Page, Repair
from core.demo.workshop import Workshop
from core.errors import BadImage, ResultLost, StudioError
from core.providers.endings import Ending, Endings
from core.running import TooSlow
from core.sampling import Verdict
from core.values import Cell, JobId, JobStage, ReviewStatus

DAYS = 28
_WELL = ("odalys", "perpetua", "serafina", "odalys", "mandy", "mandy-too", "odalys", "halloran")
_WORDS = ("in the rain", "at dawn", "laughing", "with a mug of tea", "on a windy pier", "by lamplight")
_MODELS = ("flux", "flux", "schnell", "novita", "runpod", "flux", "seedream", "sketch")
_SECONDS = {"flux": 6.0, "seedream": 11.0, "schnell": 3.0, "novita": 14.0, "runpod": 19.0, "sketch": 1.5}
_SCENES = (
    ("The fog bell", "A small harbour in thick fog; one bell, two gulls and a kettle.", ["Hold the lantern, please."]),
    ("Pancake Sunday", "The galley of the night ferry, forty pancakes high.", ["Sugar or lemon?"]),
)  # fmt: skip


def people(workshop: Workshop) -> None:
    """Everybody's characters, made six weeks ago; one draft that has no name yet."""
    for part in CAST:
        values = {
            "name": part.name,
            "gender": part.gender,
            "role": part.role,
            "description": part.description,
            "appearance_tags": list(part.looks),
            "clothing_tags": list(part.clothes),
        }
        made = characters.create(part.owner, workshop.services, values)
        workshop.characters[part.key] = made.id
    draft = characters.create(ADA, workshop.services, {"role": "Somebody with an umbrella"})
    workshop.characters["draft"] = draft.id
    workshop.clear("draft.no_name", ("characters", draft.id), "A draft may have an empty name.")
    workshop.clear(
        "policy.16th_century",
        ("characters", workshop.characters["perpetua"]),
        "A 16th century handbook and kitchen recipes describe no minor.",
    )
    with workshop.before_the_studio() as conn:
        for character_id in workshop.characters.values():
            demo.date_character(conn, character_id, made_at=workshop.ago(days=42))


def month(workshop: Workshop) -> dict[str, JobId]:
    """Portraits of the last four weeks, all of them well; the last of each character by its key."""
    chance = random.Random(20261120)  # noqa: S311 - the same world every time
    dated: list[tuple[JobId, datetime, float]] = []
    free: list[JobId] = []
    last: dict[str, JobId] = {}
    for day in range(DAYS, 0, -1):
        for number in range(1 + day % 2):
            place = len(dated)
            key, model = _WELL[place % len(_WELL)], _MODELS[chance.randrange(len(_MODELS))]
            job_id = _one(workshop, key, model, _WORDS[place % len(_WORDS)], chance)
            seconds = _SECONDS[model] * chance.uniform(0.8, 1.6)
            dated.append((job_id, workshop.ago(days=day, hours=-6 * number), seconds))
            last[key] = job_id
            free += [job_id] if model == "sketch" else []
    with workshop.before_the_studio() as conn:
        for job_id, moment, seconds in dated:
            demo.date_job(conn, job_id, asked_at=moment, seconds=seconds)
    workshop.clear(
        "cost.free", ("jobs", free[0]), "A Sketch is free: its cost is 0, not unknown.", job=free[0]
    )
    first = dated[0][0]
    with workshop.before_the_studio() as conn:
        demo.break_rows(conn, "NO_ASSET", first)
    workshop.clear(
        "autosave.PAST_RETENTION",
        ("jobs", first),
        "Saved weeks ago, and the platform's clean-up took its workspace row: it is kept for seven days only.",
        job=first,
    )
    return last


def _one(workshop: Workshop, key: str, model: str, words: str, chance: random.Random) -> JobId:
    """One portrait; replicate tells seconds, runpod its bill, as the real ones do."""
    workshop.stand_ins["replicate"].seconds = round(chance.uniform(2.0, 5.0), 2)
    workshop.stand_ins["runpod"].seconds = round(chance.uniform(12.0, 24.0), 2)
    return workshop.make(key, words, model=model)


def tidied(workshop: Workshop) -> None:
    """The nightly cleaning has been at the workspace, and put what it did not know under the findings."""
    cleaning.clean(workshop.services)


def opinions(workshop: Workshop, last: dict[str, JobId]) -> None:
    """A pinned primary, stars, scenes, a reference, a portrait in the bin."""
    services, hero = workshop.services, workshop.characters["odalys"]
    chosen = workshop.portrait_of(last["odalys"])
    portraits.make_primary(chosen, ADA, services)
    portraits.rate(chosen, ADA, services, favourite=True, stars=5)
    portraits.rate(workshop.portrait_of(last["perpetua"]), ADA, services, stars=4)
    for name, description, starters in _SCENES:
        values = {"scene_name": name, "scene_description": description, "scene_starters": starters}
        scenes.create(hero, values, ADA, services)
    keeper = characters.load(workshop.characters["perpetua"], ADA, services)
    referred = workshop.portrait_of(last["perpetua"])
    references.pick_portrait(keeper.id, referred, version=keeper.version, person=ADA, services=services)
    workshop.clear(
        "library.reference_is_portrait",
        ("characters", keeper.id),
        "Her reference is one of her own portraits: one object with two names, no duplicate.",
    )


def sample(workshop: Workshop) -> None:
    """A sample of the month, half judged: mostly good, and one that somebody has to look at."""
    services = workshop.services
    drawn = sampling.draw(
        QUINN,
        services,
        title="November, by chance",
        since=workshop.ago(days=DAYS + 1),
        until=workshop.now,
        per_stratum=2,
        seed=7,
        sample_id=the_id("sample"),
    )
    with services.db.as_reader(QUINN) as conn:
        shown = [one.portrait_id for one in qa.items(conn, drawn)]
    good, fair, bad = Verdict.good, Verdict.acceptable, Verdict.bad
    for place, portrait_id in enumerate(shown[:12]):
        said = (good, good, fair, good, bad, Verdict.not_character)[place % 6]
        sampling.judge(drawn, portrait_id, said, QUINN, services)
        if place % 4:
            sampling.judge(drawn, portrait_id, said if place % 3 else good, PIA, services)
    note = "The poster behind her names a real brand"
    sampling.judge(drawn, shown[12], Verdict.policy, QUINN, services, note=note)
    where = ("character_portraits", shown[12])
    workshop.plant("findings.qa.policy_problem", Page.findings, where, "policy", Repair.person)


# -- failures ---------------------------------------------------------------------------------------------------------


def _told(name: str, ending: Ending) -> StudioError:
    return Endings(name=name, key=f"{name.upper()}_API_KEY", kept="an hour").rejected(ending)


def failures(workshop: Workshop) -> None:
    """Every family of error, some of them more than once; what failed before it was sent cost nothing."""
    refusals: Sequence[tuple[str, str, StudioError, bool, int]] = (
        ("novita", "novita", _told("Novita", Ending.content_refused), True, 4),
        ("fal", "flux", _told("fal", Ending.failed), True, 3),
        ("fal", "flux", _told("fal", Ending.invalid_input), False, 1),
        ("replicate", "schnell", _told("Replicate", Ending.never_started), True, 1),
        ("replicate", "schnell", _told("Replicate", Ending.out_of_memory), True, 1),
        ("runpod", "runpod", _told("RunPod", Ending.no_image), True, 1),
        ("fal", "flux", BadImage("The picture is of one colour only, which safety filters return.", code="IMAGE_BLANK"), True, 1),
        ("fal", "flux", BadImage("The picture came cut short, three times.", code="IMAGE_BROKEN"), True, 1),
        ("novita", "novita", ResultLost("Novita no longer has this result.", is_certain=True), True, 1),
        ("replicate", "schnell", TooSlow("Replicate took longer than 30 min. It was asked to stop."), True, 1),
    )  # fmt: skip
    day, ended = 1.0, list[JobId]()
    for provider, model, error, late, times in refusals:
        for _ in range(times):
            day += 1.3
            ended.append(_refused(workshop, (provider, model), error, late=late, days=day))
    never = workshop.ask("serafina", "cancelled before it began", model="flux")
    _cancelled_unsent(workshop, never)
    workshop.clear(
        "autosave.NO_RESULT",
        ("jobs", ended[0]),
        "A failed job without a picture has nothing to be saved.",
        job=ended[0],
    )


def _refused(
    workshop: Workshop, made: tuple[str, str], error: StudioError, *, late: bool, days: float
) -> JobId:
    provider, model = made
    with workshop.refusing(provider, error, late=late):
        job_id = workshop.ask("serafina", "juggling lemons", model=model)
        workshop.carry(job_id)
    workshop.take_entries(job_id)
    _given_up(workshop, job_id, error)
    with workshop.before_the_studio() as conn:
        demo.date_job(conn, job_id, asked_at=workshop.ago(days=days), seconds=9)
    return job_id


def _cancelled_unsent(workshop: Workshop, job_id: JobId) -> None:
    generation.cancel(job_id, BRUNO, workshop.played)
    workshop.take_entries(job_id)
    workshop.clear(
        "cost.never_sent",
        ("jobs", job_id),
        "It was cancelled before anything was sent: an explicit 0, no failed spend.",
        job=job_id,
    )


def _given_up(workshop: Workshop, job_id: JobId, error: StudioError) -> None:
    """What recovery would have asked for in vain until its provider's deadline, weeks ago."""
    with workshop.services.db.as_service() as conn:
        job, sent = jobs.get(conn, job_id), submissions.current(conn, job_id)
        if (
            job is not None
            and sent is not None
            and submissions.settle(conn, sent.id, "expired", by="recovery")
        ):
            billing.keep_failed(conn, job, sent, error)


# -- attribute images -------------------------------------------------------------------------------------------------

_MISSING, _FAILED, _LEFT_QUEUED, _RUNNING, _LOST = 6, 1, 1, 1, 1  # how many of the matrix; the rest is made


def matrix(workshop: Workshop) -> None:
    """Attribute images in every state: most are made, and judged by product."""
    options.switch("age", "80s", PIA, workshop.services, active=False, why="Not offered this season")
    why = "Its option is switched off: not required, so not missing."
    for style in workshop.services.catalog.styles:
        off = Cell(category="age", value="80s", style=style.key)
        workshop.clear("attributes.not_required", ("attribute_images", off), why)
    cells = attributes.all_cells(options.catalog(workshop.services))
    left = cells[-2 - _MISSING : -2]
    ready = [cell for cell in cells if cell not in left]
    asked = _asked(workshop, ready)
    odd = ready[5 : 5 + _FAILED + _LEFT_QUEUED + _RUNNING + _LOST]
    failed, queued, running, lost = odd
    for cell in ready:
        if cell not in odd:
            workshop.publish(asked[cell])
    _fail_cell(workshop, failed, asked[failed])
    _leave_queued(workshop, queued, asked[queued])
    _keep_running(workshop, running, asked[running])
    _lose(workshop, asked[lost])
    for cell in left:
        says = "missing"
        workshop.plant(
            "attributes.missing", Page.attributes, ("attribute_images", cell), says, Repair.generate
        )
    _judge(workshop, [cell for cell in ready if cell not in odd])


def _asked(workshop: Workshop, cells: Sequence[Cell]) -> dict[Cell, JobId]:
    run = attributes.generate(PIA, workshop.played, cells=cells, model_id=workshop.models["flux"])
    return {one.cell: one.job_id for one in run.cells if one.job_id is not None}


def _fail_cell(workshop: Workshop, cell: Cell, job_id: JobId) -> None:
    with workshop.refusing("fal", _told("fal", Ending.content_refused), late=True):
        workshop.carry(job_id)
    workshop.take_entries(job_id)
    where = ("attribute_images", cell)
    workshop.plant("attributes.failed", Page.attributes, where, "safety check", Repair.generate, job=job_id)


def _leave_queued(workshop: Workshop, cell: Cell, job_id: JobId) -> None:
    why = "It waits in the queue for its turn: not missing, not stuck."
    workshop.clear("attributes.queued", ("attribute_images", cell), why, job=job_id)


def _keep_running(workshop: Workshop, cell: Cell, job_id: JobId) -> None:
    job = workshop.claim(job_id)
    workshop.send(job, receipt=True)
    with workshop.services.db.as_service() as conn:
        demo.hold_entry(conn, job_id)
        jobs.beat(conn, job, stage=JobStage.drawing, progress=0.4)
    why = "It is being drawn by a worker that lives: not missing, not stuck."
    workshop.clear("attributes.running", ("attribute_images", cell), why, job=job_id)


def _lose(workshop: Workshop, job_id: JobId) -> None:
    """Made and paid for, and the entry that would have published it was lost."""
    workshop.carry(job_id)
    workshop.take_entries(job_id)
    with workshop.before_the_studio() as conn:
        demo.date_job(conn, job_id, asked_at=workshop.ago(hours=5), seconds=8)
    says = "not published"
    workshop.plant("stuck.unpublished", Page.stuck, ("jobs", job_id), says, Repair.recover, job=job_id)


def _judge(workshop: Workshop, cells: Sequence[Cell]) -> None:
    """Two of three approved, three sent back, the rest not looked at yet."""
    found = {one.cell: one.picture for one in attributes.status(PIA, workshop.played).cells}
    for number, cell in enumerate(cells):
        picture = found[cell]
        if picture is None or number % 3 == 2:  # noqa: PLR2004 - the third is left
            continue
        is_bad = number % 14 == 0
        verdict = ReviewStatus.rejected if is_bad else ReviewStatus.approved
        note = "The hat hides the face." if is_bad else ""
        reviews.review(cell, verdict, PIA, workshop.services, image_url=picture.image_url, note=note)
        if is_bad:
            where = ("attribute_images", cell)
            workshop.plant("attributes.rejected", Page.attributes, where, note, Repair.generate)
    _note_alias(workshop, cells)


def _note_alias(workshop: Workshop, cells: Sequence[Cell]) -> None:
    stocky = next(cell for cell in cells if cell.value == "Stocky")
    why = "Its older name's row shows the same picture, at no cost: no duplicate."
    workshop.clear("library.alias_row", ("attribute_images", stocky), why)


# -- money ------------------------------------------------------------------------------------------------------------


def money(workshop: Workshop) -> None:
    """A bill that differs from what was computed, a refund, an unknown price, a budget nearly spent and one that is not."""
    bill = workshop.stand_ins["runpod"]
    bill.billed_usd = Decimal("0.0917")
    dear = workshop.make("serafina", "with a brass bell", model="runpod")
    bill.billed_usd = None
    says = "billed"
    workshop.plant("costs.variance", Page.costs, ("cost_entries", dear), says, Repair.nobody, job=dear)
    given_back = workshop.make("serafina", "a blurred hand", model="flux")
    billing.refund(given_back, 1, Decimal("0.002"), ARI, workshop.services, why="fal gave half of it back")
    unknown = workshop.make("serafina", "under the town clock", model="seedream")
    says = "unknown"
    workshop.plant("costs.unknown", Page.costs, ("cost_entries", unknown), says, Repair.nobody, job=unknown)
    with workshop.before_the_studio() as conn:
        for hours, job_id in ((9.0, dear), (8.0, given_back), (7.0, unknown)):
            demo.date_job(conn, job_id, asked_at=workshop.ago(hours=hours), seconds=12)


def limits(workshop: Workshop) -> None:
    """Budgets, made last: so that nothing before was refused by them."""
    services, reserve = workshop.services, Decimal("0.04")
    budgets.save(
        Decimal(25),
        budgets.Period.month,
        ARI,
        services,
        of=ADA.id,
        reserve_usd=reserve,
        why="Ada's portraits",
    )
    near = budgets.save(Decimal(25), budgets.Period.month, ARI, services, of=BRUNO.id, reserve_usd=reserve)
    standings = {one.id: one for one in budgets.listing(ARI, services)}
    used = standings[near].spent + standings[near].held
    limit = max((used / Decimal("0.93")).quantize(Decimal("0.01"), ROUND_UP), Decimal("0.01"))
    budgets.save(
        limit, budgets.Period.month, ARI, services, of=BRUNO.id, reserve_usd=reserve, why="Bruno's portraits"
    )
    workshop.plant("costs.budget_near", Page.costs, ("budgets", near), "budget", Repair.admin)
    far = next(one.id for one in standings.values() if one.user_id == ADA.id)
    workshop.clear("costs.budget_far", ("budgets", far), "This budget is far from being reached.")
