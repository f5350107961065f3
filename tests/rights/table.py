"""The table: who may what, with whose row (SPEC "Data", "Studio", "Audit").

A line stands for one way into the product. `rule` says for every person and every owner whether it serves; both ways are
asked of the running product by the tests beside this file. `surfaces` finds the ways in: one without a line here fails, as
does a line that leads nowhere.

Whose row: `own`; `another's`, of an editor who shares nothing; `shared`, the same row where TEAM_SHARING is on; `missing`,
an id of no row. Who is refused another's row hears what is said of a missing one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType, SimpleNamespace
from uuid import UUID, uuid4

from core import (
    answers,
    attributes,
    budgets,
    bulk,
    characters,
    contact_sheets,
    copies,
    findings,
    foreign_paths,
    generation,
    health,
    history,
    library,
    line,
    matching,
    members,
    mending,
    notices,
    options,
    pauses,
    portraits,
    proof,
    reach,
    recovery,
    references,
    retention,
    reviews,
    row_rules,
    sampling,
    scenes,
    stock,
    suggestions,
    trial,
    views,
)
from core.admin import changes as admin_changes
from core.admin import keeping
from core.admin import models as admin_models
from core.admin import people as admin_people
from core.admin import providers as admin_providers
from core.audit.activity import Event
from core.audit.findings import FindingFilter
from core.cards import exporting, importing
from core.db import admin
from core.db import retention as kept
from core.library import Wanted
from core.retention import Kind
from core.sampling import Verdict
from core.services import Services
from core.storage import LIBRARY
from core.suggestions import SuggestionRequest
from core.values import Cell, ContentRating, Person, PersonId, PortraitRequest, PriceUnit, ReviewStatus, Role
from tests.builders import rows
from tests.emulator.pictures import portrait
from tests.rights.world import MEMBERS, OWNER, WHO, Work

WHOSE = ("own", "another's", "shared", "missing")
NOBODY = "00000000-0000-4000-8000-00000000dead"
CELL = Cell(category="age", value="30s", style="anime")
CARD = b'{"spec": "chara_card_v2", "spec_version": "2.0", "data": {"name": "Card", "description": "A card of a test."}}'

Call = Callable[[Work, Person, Services], object]
Rule = Callable[[str, str], bool]


def reads(who: str, whose: str) -> bool:
    """Owner and team see a character and what hangs on it; qa, product and admin see everybody's."""
    if not WHO[who] or whose == "missing":
        return False
    return whose != "another's" or who in MEMBERS or bool({Role.qa, Role.product, Role.admin} & set(WHO[who]))


def changes(who: str, whose: str) -> bool:
    """Editors change what is theirs or their team's, and as members what they may change."""
    return Role.editor in WHO[who] and (
        whose in {"own", "shared"} or (whose == "another's" and MEMBERS.get(who, False))
    )


def owns(who: str, whose: str) -> bool:
    """A member never removes a character, or changes the owner's library."""
    return Role.editor in WHO[who] and whose in {"own", "shared"}


def copies_it(who: str, whose: str) -> bool:
    """An editor keeps a copy of whatever they see."""
    return Role.editor in WHO[who] and reads(who, whose)


def shares(who: str, whose: str) -> bool:
    """The owner says who works on a character, and an admin."""
    is_own = whose == "own" or (who == OWNER and whose == "shared")
    return whose != "missing" and ((is_own and Role.editor in WHO[who]) or Role.admin in WHO[who])


def cancels(who: str, whose: str) -> bool:
    """As `changes`; qa and admin stop anybody's job."""
    helps = bool({Role.qa, Role.admin} & set(WHO[who])) and whose != "missing"
    return changes(who, whose) or helps


def holding(*roles: Role) -> Rule:
    """Whoever holds one of these roles, whatever row it is about."""
    return lambda who, _whose: bool(set(roles) & set(WHO[who]))


TEAM = holding(*Role)
EDITORS = holding(Role.editor)
REPAIRERS = holding(Role.qa, Role.admin)
LOOKERS = holding(Role.qa, Role.product, Role.admin)
MAKERS = holding(Role.product, Role.admin)
ADMINS = holding(Role.admin)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One use case: how it is called for a row, and who is served.

    `of_rows` is False where the answer is about no one row: it is asked once for each person, and only whether the person's
    role is enough counts. `writes`: it is served in a world of its own; `removes`: after all that needs the row.
    """

    call: Call
    rule: Rule
    of_rows: bool = True
    writes: bool = False
    removes: bool = False


def _reading(call: Call) -> Line:
    return Line(call=call, rule=reads)


def _changing(call: Call) -> Line:
    return Line(call=call, rule=changes, writes=True)


def _removing(call: Call) -> Line:
    return Line(call=call, rule=changes, writes=True, removes=True)


def _by_role(rule: Rule, call: Call, *, writes: bool = False) -> Line:
    return Line(call=call, rule=rule, of_rows=False, writes=writes)


def _about(row: Work, **more: object) -> PortraitRequest:
    return PortraitRequest(character_id=row.character.id, own_words="reading a letter", **more)


def _holds(found: object, wanted: object) -> None:
    """A list is no refusal: who may not see a row does not find it there."""
    if wanted not in found:
        raise NotListed


class NotListed(Exception):
    """The list was answered, and the row is not in it."""


def _listed(call: Callable[[Work, Person, Services], list[object]], wanted: Callable[[Work], object]) -> Call:
    return lambda row, person, services: _holds(call(row, person, services), wanted(row))


_IN_LIBRARY = _listed(
    lambda _, p, s: [one.id for one in library.page(Wanted(), p, s).items], lambda w: w.item
)


def _counted(row: Work, person: Person, services: Services) -> None:
    if library.count(Wanted(character_id=row.character.id), person, services) == "0":
        raise NotListed


def _changed(changed: library.Changed) -> None:
    if not changed.done:
        raise NotListed


def _some(found: object) -> None:
    if not found:
        raise NotListed


def _own_path(row: Work) -> str:
    return f"{row.character.user_id}/portraits/x.png"


_PUBLISHED = SimpleNamespace(image_url="assets/style-images/anime-0a1b2c3d.jpg")


def _archived(row: Work, person: Person, services: Services) -> None:
    with copies.archive([row.portrait], copies.Kind.original, person, services):
        pass


def version_now(row: Work, services: Services) -> int:
    """The version the character has now; 1 where there is none."""
    found = rows(services.db, "SELECT version FROM characters WHERE id = %s", (row.character.id,))
    return found[0][0] if found else 1


def _an_option() -> options.NewOption:
    return options.NewOption(category="body", value="Lanky", label="Lanky", words="lanky build")


def _the_option(services: Services) -> options.Option:
    """An option as it ships: whoever may change options hears that this one stays as it is."""
    with services.db.as_service() as conn:
        return next(one for one in options.listing(conn, services.catalog) if one.is_shipped)


def _a_model(services: Services) -> admin.ModelRow:
    with services.db.as_service() as conn:
        return admin.model_rows(conn)[0]


def _change_a_model(row: admin.ModelRow, person: Person, services: Services) -> bool:
    wanted = replace(admin_models.as_it_is(row), priority=row.priority + 1)
    return admin_models.change(row.id, wanted, person, services, seen=row.seen, why="x")


def _prices_of(services: Services) -> list[UUID]:
    with services.db.as_service() as conn:
        return [one.id for one in admin.price_rows(conn, _a_model(services).id)]


def _pause_of(provider: str, services: Services) -> datetime | None:
    with services.db.as_service() as conn:
        return next((one.paused_until for one in admin.pause_rows(conn) if one.provider == provider), None)


def _an_event(action: str, row: str, before: Mapping[str, object], after: Mapping[str, object]) -> Event:
    """A change as the record keeps it."""
    return Event(
        id=1, at=datetime(2026, 11, 1, tzinfo=UTC), who=None, action=action, table_name=None, row_id=row,
        before=before, after=after, why=None, job_id=None,
    )  # fmt: skip


def _a_budget_event() -> Event:
    row = {"id": NOBODY, "user_id": None, "period": "day", "hard": False, "limit_usd": 7, "reserve_usd": None}
    return _an_event("budget_set", NOBODY, row, row)


def _a_budget(person: Person) -> budgets.Standing:
    nothing = Decimal(0)
    return budgets.Standing(
        id=UUID(NOBODY), scope="person", user_id=person.id, period="day", limit_usd=nothing, hard=True,
        reserve_usd=None, spent=nothing, held=nothing, unknown=0, resets_at=datetime(2026, 11, 1, tzinfo=UTC),
    )  # fmt: skip


def _days_stored(services: Services) -> int | None:
    with services.db.as_service() as conn:
        return kept.stored_days(conn, "messages")


def _change_days(person: Person, services: Services) -> bool:
    seen = _days_stored(services)
    return keeping.change(Kind.messages, (seen or 30) + 1, person, services, seen=seen, why="x")


USE_CASES: Mapping[str, Line] = MappingProxyType({
    # -- a character and what hangs on it
    "core.characters.load": _reading(lambda w, p, s: characters.load(w.character.id, p, s)),
    "core.characters.create": _by_role(EDITORS, lambda _, p, s: characters.create(p, s), writes=True),
    "core.characters.save": _changing(
        lambda w, p, s: characters.save(w.character.id, {"role": "pilot"}, version=version_now(w, s), person=p, services=s)
    ),
    "core.characters.settle_rating": _changing(
        lambda w, p, s: characters.settle_rating(w.character.id, ContentRating.sfw, version=version_now(w, s), person=p, services=s)
    ),
    "core.characters.publish": _changing(
        lambda w, p, s: characters.publish(w.character.id, version=version_now(w, s), person=p, services=s)
    ),
    "core.characters.unpublish": _changing(
        lambda w, p, s: characters.unpublish(w.character.id, version=version_now(w, s), person=p, services=s)
    ),
    "core.characters.may_change": Line(
        call=lambda w, p, s: _some(characters.may_change(characters.load(w.character.id, p, s), p, s)), rule=changes
    ),
    "core.characters.may_remove": Line(
        call=lambda w, p, s: _some(characters.may_remove(characters.load(w.character.id, p, s), p, s)), rule=owns
    ),
    "core.characters.keep_as_own": _by_role(
        EDITORS, lambda _, p, s: characters.keep_as_own({"name": "Kept"}, p, s), writes=True
    ),
    "core.members.of_character": _reading(lambda w, p, s: members.of_character(w.character.id, p, s)),
    "core.members.owner_name": Line(
        call=lambda w, p, s: _some(members.owner_name(w.character, p, s)),
        rule=lambda who, whose: reads(who, whose) and whose != "own" and who != OWNER,
    ),
    "core.members.add": Line(
        call=lambda w, p, s: members.add(w.character.id, w.friend, p, s, can_edit=False), rule=shares, writes=True
    ),
    "core.members.change": Line(
        call=lambda w, p, s: members.change(w.character.id, w.friend_id, p, s, can_edit=True), rule=shares, writes=True
    ),
    "core.members.remove": Line(
        call=lambda w, p, s: members.remove(w.character.id, w.friend_id, p, s), rule=shares, writes=True
    ),
    "core.members.leave": _by_role(
        TEAM, lambda w, p, s: members.leave(w.character.id, p, s), writes=True
    ),
    "core.characters.delete": Line(
        call=lambda w, p, s: characters.delete(w.character.id, p, s), rule=owns, writes=True, removes=True
    ),
    "core.characters.restore": Line(call=lambda w, p, s: characters.restore(w.gone, p, s), rule=owns, writes=True),
    "core.characters.duplicate": Line(
        call=lambda w, p, s: characters.duplicate(w.character.id, p, s), rule=copies_it, writes=True
    ),
    "core.history.versions": _reading(lambda w, p, s: _some(history.versions(w.character.id, p, s))),
    "core.cards.exporting.report": _reading(lambda w, p, s: exporting.report(w.character.id, exporting.Kind.v3, p, s)),
    "core.cards.exporting.export": _reading(lambda w, p, s: exporting.export(w.character.id, exporting.Kind.v3, p, s)),
    "core.cards.importing.take": _by_role(
        EDITORS,
        lambda _, p, s: importing.take(CARD, "card.json", rights_confirmed=False, person=p, services=s),
        writes=True,
    ),
    # -- portraits
    "core.portraits.signed": _by_role(
        TEAM, lambda w, p, s: _some(portraits.signed(_own_path(w), w.character, p, s))
    ),
    "core.foreign_paths.own": _by_role(
        TEAM,
        lambda w, p, s: foreign_paths.own(
            (LIBRARY, _own_path(w)), w.character.user_id, p, s, sentence="Not yours."
        ),
    ),
    "core.foreign_paths.note": _by_role(
        TEAM, lambda _, p, s: foreign_paths.note((LIBRARY, f"{NOBODY}/x.png"), p, s), writes=True
    ),
    "core.reviews.address_of": _by_role(
        TEAM, lambda _, p, s: reviews.address_of("assets/style-images/anime-0a1b2c3d.jpg", p, s)
    ),
    "core.reviews.link": _by_role(TEAM, lambda _, p, s: _some(reviews.link(_PUBLISHED, p, s))),
    "core.portraits.tiles": _reading(lambda w, p, s: portraits.tiles(w.character.id, p, s)),
    "core.portraits.grid": _reading(lambda w, p, s: portraits.grid(w.character.id, p, s)),
    "core.portraits.running": _reading(lambda w, p, s: portraits.running(w.character.id, p, s)),
    "core.portraits.every": _reading(lambda w, p, s: portraits.every(w.character.id, p, s, limit=10)),
    "core.portraits.details": _reading(lambda w, p, s: portraits.details([w.portrait], p, s)),
    "core.portraits.bin_of": _reading(lambda w, p, s: portraits.bin_of(w.character.id, p, s)),
    "core.portraits.again": _changing(lambda w, p, s: portraits.again(w.portrait, str(uuid4()), p, s)),
    "core.portraits.make_primary": _changing(lambda w, p, s: portraits.make_primary(w.portrait, p, s)),
    "core.portraits.reorder": _changing(lambda w, p, s: portraits.reorder(w.character.id, [str(w.portrait)], p, s)),
    "core.portraits.delete_many": _removing(
        lambda w, p, s: portraits.delete_many(w.character.id, [w.portrait], p, s)
    ),
    "core.portraits.restore_many": _changing(
        lambda w, p, s: portraits.restore_many(w.character.id, [w.portrait], p, s)
    ),
    "core.portraits.rate": Line(
        call=lambda w, p, s: portraits.rate(w.portrait, p, s, stars=5), rule=reads, writes=True
    ),
    "core.copies.copy_of": _reading(lambda w, p, s: copies.copy_of(w.portrait, copies.Kind.original, p, s)),
    "core.copies.archive": _reading(_archived),
    # -- scenes
    "core.scenes.cards": _reading(lambda w, p, s: scenes.cards(w.character.id, p, s)),
    "core.scenes.get": _reading(lambda w, p, s: scenes.get(w.scene, p, s)),
    "core.scenes.create": _changing(lambda w, p, s: scenes.create(w.character.id, {"scene_name": "New"}, p, s)),
    "core.scenes.save": _changing(lambda w, p, s: scenes.save(w.scene, {"scene_name": "New"}, p, s)),
    "core.scenes.delete": _removing(lambda w, p, s: scenes.delete(w.scene, p, s)),
    "core.scenes.restore": _changing(lambda w, p, s: (scenes.delete(w.scene, p, s), scenes.restore(w.scene, p, s))),
    "core.scenes.reorder": _changing(lambda w, p, s: scenes.reorder(w.character.id, [w.scene], p, s)),
    # -- references
    "core.references.upload": _changing(
        lambda w, p, s: references.upload(w.character.id, "b.png", portrait("b", 300, 300, "png"), True, p, s)
    ),
    "core.references.choose": _changing(
        lambda w, p, s: references.choose(w.character.id, w.reference, version=version_now(w, s), person=p, services=s)
    ),
    "core.references.pick_from_library": _changing(
        lambda w, p, s: references.pick_from_library(w.character.id, w.item, version=version_now(w, s), person=p, services=s)
    ),
    "core.references.pick_portrait": _changing(
        lambda w, p, s: references.pick_portrait(w.character.id, w.portrait, version=version_now(w, s), person=p, services=s)
    ),
    "core.references.remove": _changing(
        lambda w, p, s: references.remove(w.character.id, version=version_now(w, s), person=p, services=s)
    ),
    "core.references.choose_match": _changing(
        lambda w, p, s: references.choose_match(w.character.id, False, version=version_now(w, s), person=p, services=s)
    ),
    "core.references.recent": Line(
        call=lambda w, p, s: references.recent(p, s, character_id=w.character.id), rule=changes
    ),
    "core.references.serving": _by_role(TEAM, lambda _, p, s: references.serving(p, s)),
    # -- jobs
    "core.generation.preview": _changing(lambda w, p, s: generation.preview(_about(w), p, s)),
    "core.generation.request": _changing(lambda w, p, s: generation.request(_about(w), p, s)),
    "core.generation.cancel": Line(
        call=lambda w, p, s: generation.cancel(w.waiting_job, p, s), rule=cancels, writes=True
    ),
    "core.generation.offer_of": Line(
        call=lambda w, p, s: _some(
            generation.offer_of(generation.outcome(w.ended_job, p, s).job, p, s).retry
        ),
        rule=changes,
    ),
    "core.generation.dismiss": _changing(lambda w, p, s: generation.dismiss(w.ended_job, p, s)),
    "core.generation.retry": _changing(lambda w, p, s: generation.retry(w.ended_job, p, s)),
    "core.generation.outcome": _reading(lambda w, p, s: generation.outcome(w.saved_job, p, s)),
    "core.generation.models_for": _by_role(TEAM, lambda _, p, s: generation.models_for(p, s)),
    "core.generation.worker_lives": _by_role(TEAM, lambda _, p, s: generation.worker_lives(p, s)),
    "core.line.line_for": _by_role(TEAM, lambda _, p, s: line.line_for(p, s)),
    "core.suggestions.suggest": Line(
        call=lambda w, p, s: suggestions.suggest(SuggestionRequest(wanted="persona", character_id=w.character.id, fields={}), p, s),
        rule=copies_it,
        writes=True,
    ),
    # -- lists: what one may not see is not in them
    "core.characters.listing": Line(
        call=_listed(lambda _, p, s: [one.id for one in characters.listing(p, s)], lambda w: w.character.id),
        rule=lambda who, whose: bool(WHO[who]) and (whose in {"own", "shared"} or (whose == "another's" and who in MEMBERS)),
    ),
    "core.library.page": _reading(_IN_LIBRARY),
    "core.library.count": _reading(_counted),
    "core.library.retag": _changing(lambda w, p, s: _changed(library.retag([w.item], p, s, added=["harbour"]))),
    "core.library.delete": _removing(lambda w, p, s: _changed(library.delete([w.item], p, s))),
    "core.library.restore": _changing(
        lambda w, p, s: (library.delete([w.item], p, s), _changed(library.restore([w.item], p, s)))
    ),
    # -- the audit's repairs
    "core.answers.told": _by_role(REPAIRERS, lambda w, p, s: answers.told(w.saved_job, p, s)),
    "core.matching.decide": _by_role(
        REPAIRERS, lambda w, p, s: matching.decide(w.saved_job, w.character.id, p, s), writes=True
    ),
    "core.mending.repair": _by_role(REPAIRERS, lambda w, p, s: mending.repair(w.saved_job, p, s), writes=True),
    "core.mending.told": _by_role(
        REPAIRERS, lambda w, p, s: mending.told(mending.repair(w.saved_job, p, s), p, s), writes=True
    ),
    "core.proof.ask": _by_role(REPAIRERS, lambda _, p, s: proof.ask(p, s), writes=True),
    "core.recovery.settle_unknown": _by_role(
        REPAIRERS, lambda w, p, s: recovery.settle_unknown(w.saved_job, p, s, billed=False, why="x"), writes=True
    ),
    "core.stock.ask": _by_role(REPAIRERS, lambda _, p, s: stock.ask(p, s), writes=True),
    "core.findings.team": _by_role(LOOKERS, lambda _, p, s: findings.team(p, s)),
    "core.findings.assign": _by_role(LOOKERS, lambda _, p, s: findings.assign([1], None, p, s), writes=True),
    "core.findings.assign_all": _by_role(
        LOOKERS, lambda _, p, s: findings.assign_all(FindingFilter(rules=("character.two_primaries",)), None, p, s), writes=True
    ),
    "core.row_rules.ask": _by_role(REPAIRERS, lambda _, p, s: row_rules.ask(p, s), writes=True),
    "core.findings.note": _by_role(LOOKERS, lambda _, p, s: findings.note(1, "x", p, s), writes=True),
    "core.findings.set_aside": _by_role(REPAIRERS, lambda _, p, s: findings.set_aside([1], "x", p, s), writes=True),
    "core.findings.bring_back": _by_role(REPAIRERS, lambda _, p, s: findings.bring_back([1], p, s), writes=True),
    "core.bulk.begin": _by_role(
        REPAIRERS, lambda w, p, s: bulk.begin("purge", [str(w.ended_job)], p, s, why="x"), writes=True
    ),
    "core.bulk.price": _by_role(EDITORS, lambda w, p, s: bulk.price("retry", [str(w.ended_job)], p, s, {})),
    "core.bulk.run": _by_role(TEAM, lambda _, p, s: bulk.run(UUID(NOBODY), p, s), writes=True),
    "core.bulk.stop": _by_role(TEAM, lambda _, p, s: bulk.stop(UUID(NOBODY), p, s), writes=True),
    "core.bulk.report": _by_role(TEAM, lambda _, p, s: bulk.report(UUID(NOBODY), p, s)),
    "core.bulk.unfinished": _by_role(TEAM, lambda _, p, s: bulk.unfinished(p, s)),
    "core.bulk.just_ended": _by_role(TEAM, lambda _, p, s: bulk.just_ended(p, s)),
    # -- attribute images, reviews, samples
    "core.attributes.status": _by_role(LOOKERS, lambda _, p, s: attributes.status(p, s)),
    "core.attributes.makers": _by_role(LOOKERS, lambda _, p, s: attributes.makers(p, s)),
    "core.attributes.plan": _by_role(MAKERS, lambda _, p, s: attributes.plan(p, s, cells=[CELL])),
    "core.attributes.progress": _by_role(LOOKERS, lambda _, p, s: attributes.progress(UUID(NOBODY), p, s)),
    "core.attributes.generate": _by_role(MAKERS, lambda _, p, s: attributes.generate(p, s, cells=[CELL]), writes=True),
    "core.attributes.regenerate": _by_role(MAKERS, lambda _, p, s: attributes.regenerate([CELL], p, s), writes=True),
    "core.attributes.cancel_run": _by_role(MAKERS, lambda _, p, s: attributes.cancel_run(UUID(NOBODY), p, s), writes=True),
    "core.attributes.cancel_cell": _by_role(MAKERS, lambda _, p, s: attributes.cancel_cell(CELL, p, s), writes=True),
    "core.reviews.review": _by_role(
        MAKERS, lambda _, p, s: reviews.review(CELL, ReviewStatus.approved, p, s, image_url="x"), writes=True
    ),
    "core.reviews.looks": _by_role(TEAM, lambda _, p, s: reviews.looks(p, s)),
    "core.contact_sheets.gather": _by_role(
        LOOKERS, lambda _, p, s: contact_sheets.gather(p, s, now=datetime.now(UTC), zone=UTC, called=str)
    ),
    "core.options.add": _by_role(MAKERS, lambda _, p, s: options.add(_an_option(), p, s), writes=True),
    "core.options.switch": _by_role(MAKERS, lambda _, p, s: options.switch("age", "30s", p, s, active=False), writes=True),
    "core.options.change": _by_role(
        MAKERS, lambda _, p, s: options.change(_the_option(s), _an_option(), p, s, place=1), writes=True
    ),
    # -- the admin page
    "core.admin.models.listing": _by_role(LOOKERS, lambda _, p, s: admin_models.listing(p, s)),
    "core.admin.models.todays_prices": _by_role(LOOKERS, lambda _, p, s: admin_models.todays_prices([_a_model(s)], p, s)),
    "core.admin.models.prices": _by_role(LOOKERS, lambda _, p, s: admin_models.prices(_a_model(s).id, p, s)),
    "core.admin.models.history": _by_role(LOOKERS, lambda _, p, s: admin_models.history(_a_model(s).id, p, s)),
    "core.admin.models.effects": _by_role(
        LOOKERS, lambda _, p, s: admin_models.effects(_a_model(s).id, admin_models.as_it_is(_a_model(s)), p, s)
    ),
    "core.admin.models.change": _by_role(ADMINS, lambda _, p, s: _change_a_model(_a_model(s), p, s), writes=True),
    "core.admin.models.undo": _by_role(ADMINS, lambda _, p, s: admin_models.undo(_a_model(s).id, 1, p, s, why="x"), writes=True),
    "core.admin.models.add": _by_role(
        ADMINS, lambda _, p, s: admin_models.add(_a_model(s).id, str(uuid4()), "Another", p, s, why="x"), writes=True
    ),
    "core.admin.models.set_price": _by_role(
        ADMINS,
        lambda _, p, s: admin_models.set_price(_a_model(s).id, PriceUnit.image, Decimal(1), p, s, seen=_prices_of(s), source="x"),
        writes=True,
    ),
    "core.admin.models.withdraw_price": _by_role(
        ADMINS, lambda _, p, s: admin_models.withdraw_price(UUID(NOBODY), p, s, why="x"), writes=True
    ),
    "core.admin.providers.listing": _by_role(LOOKERS, lambda _, p, s: admin_providers.listing(p, s)),
    "core.admin.providers.pause": _by_role(
        ADMINS,
        lambda _, p, s: admin_providers.pause("novita", p, s, seen=_pause_of("novita", s), lasting=None, why="x"),
        writes=True,
    ),
    "core.admin.people.team": _by_role(ADMINS, lambda _, p, s: admin_people.team(p, s)),
    "core.admin.people.find": _by_role(ADMINS, lambda _, p, s: admin_people.find("nobody@studio.invalid", p, s)),
    "core.admin.people.set_roles": _by_role(
        ADMINS, lambda _, p, s: admin_people.set_roles(p.id, Role, p, s, seen=frozenset(), why="x"), writes=True
    ),
    "core.admin.people.invite": _by_role(
        ADMINS, lambda _, p, s: admin_people.invite("nobody", [Role.qa], p, s, why="x"), writes=True
    ),
    "core.admin.people.ban": _by_role(ADMINS, lambda _, p, s: admin_people.ban(p.id, p, s, why="x"), writes=True),
    "core.admin.people.unban": _by_role(ADMINS, lambda _, p, s: admin_people.unban(p.id, p, s, why="x"), writes=True),
    "core.admin.people.sign_out": _by_role(
        ADMINS, lambda _, p, s: admin_people.sign_out(PersonId(UUID(NOBODY)), p, s, why="x"), writes=True
    ),
    "core.retention.last_runs": _by_role(ADMINS, lambda _, p, s: retention.last_runs(p, s)),
    "core.admin.keeping.listing": _by_role(ADMINS, lambda _, p, s: keeping.listing(p, s)),
    "core.admin.keeping.past": _by_role(ADMINS, lambda _, p, s: keeping.past(Kind.bin, 7, p, s)),
    "core.admin.keeping.change": _by_role(ADMINS, lambda _, p, s: _change_days(p, s), writes=True),
    "core.admin.keeping.undo": _by_role(
        ADMINS,
        lambda _, p, s: keeping.undo(
            _an_event(keeping.CHANGED, "queue_log", {"days": None}, {"days": 9}), p, s, why="x"
        ),
        writes=True,
    ),
    "core.admin.changes.listing": _by_role(LOOKERS, lambda _, p, s: admin_changes.listing(p, s)),
    "core.admin.changes.undo_budget": _by_role(ADMINS, lambda _, p, s: admin_changes.undo_budget(_a_budget_event(), p, s), writes=True),
    "core.budgets.remove_seen": _by_role(
        ADMINS, lambda _, p, s: budgets.remove_seen(_a_budget(p), p, s, why="x"), writes=True
    ),
    "core.admin.changes.undo_option": _by_role(
        MAKERS,
        lambda _, p, s: admin_changes.undo_option(
            _an_event("attribute_option_switched", "body/None", {"active": True}, {"active": False}), p, s
        ),
        writes=True,
    ),
    "core.budgets.change": _by_role(
        ADMINS,
        lambda _, p, s: budgets.change(
            None, Decimal(1), budgets.Period.month, p, s, of=p.id, hard=False, reserve_usd=None, why="x"
        ),
        writes=True,
    ),
    "core.sampling.draw": _by_role(
        REPAIRERS,
        lambda _, p, s: sampling.draw(p, s, title="x", since=datetime(2026, 1, 1, tzinfo=UTC), until=datetime.now(UTC), per_stratum=1),
        writes=True,
    ),
    "core.sampling.judge": _by_role(
        LOOKERS, lambda w, p, s: sampling.judge(UUID(NOBODY), w.portrait, Verdict.good, p, s), writes=True
    ),
    "core.sampling.close": _by_role(REPAIRERS, lambda _, p, s: sampling.close(UUID(NOBODY), p, s), writes=True),
    # -- the studio as a whole
    "core.budgets.listing": _by_role(LOOKERS, lambda _, p, s: budgets.listing(p, s)),
    "core.health.look": _by_role(LOOKERS, lambda _, p, s: health.look(p, s)),
    "core.pauses.listing": _by_role(TEAM, lambda _, p, s: pauses.listing(p, s)),
    "core.pauses.resume_provider": _by_role(ADMINS, lambda _, p, s: pauses.resume_provider("fal", p, s), writes=True),
    "core.reach.look": _by_role(LOOKERS, lambda _, p, s: reach.look("sketch", p, s), writes=True),
    "core.notices.send_test": _by_role(ADMINS, lambda _, p, s: notices.send_test(p, s), writes=True),
    "core.trial.begin": _by_role(TEAM, lambda _, p, s: trial.begin(p, s), writes=True),
    "core.trial.stand": _by_role(TEAM, lambda w, p, s: trial.stand(w.saved_job, p, s)),
    "core.trial.remove": _by_role(TEAM, lambda w, p, s: trial.remove(w.saved_job, p, s), writes=True),
    "core.views.of_page": _by_role(TEAM, lambda _, p, s: views.of_page("jobs", p, s)),
    "core.views.save": _by_role(TEAM, lambda _, p, s: views.save("jobs", "Mine", "", p, s, shared=True), writes=True),
    "core.views.change": _by_role(TEAM, lambda _, p, s: views.change(UUID(NOBODY), "Mine", p, s, shared=True), writes=True),
    "core.views.remove": _by_role(TEAM, lambda _, p, s: views.remove(UUID(NOBODY), p, s), writes=True),
})  # fmt: skip
