"""Two editors and one shared character, by the use cases: what a member sees, changes, pays for and is told."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core import (
    budgets,
    characters,
    copies,
    findings,
    generation,
    history,
    library,
    line,
    members,
    portraits,
    references,
    scenes,
)
from core.cards import exporting
from core.copies import Kind
from core.errors import BudgetSpent, NotAllowed, NotFound
from core.presence import OpenPage
from core.storage import LIBRARY, REFERENCES
from core.values import Character, ContentRating, PersonId, Role, Size
from tests.builders import (
    a_character,
    a_finished_portrait,
    a_person,
    a_request,
    a_waiting_job,
    one,
    rows,
    work,
)
from tests.contracts.test_presence import heard as presence_heard
from tests.contracts.test_references import uploaded
from tests.sharing import in_the_team, share

SMALL = Size(width=256, height=256)


@pytest.fixture
def hers(services, ana) -> Character:
    return a_character(ana, services)


def listed(person, services, **wanted):
    return [(card.name, card.owner_name) for card in characters.listing(person, services, **wanted)]


# ---- lists


def test_a_shared_character_stands_among_ones_own_with_its_owners_name(services, ana, ben):
    email = in_the_team(ana, services)
    for name in ("Aster", "Cedar"):
        share(a_character(ana, services, name=name), ana, ben, services)
        a_character(ben, services, name=f"Ben's {name}")
    a_character(ana, services, name="Kept")

    everything = [("Ben's Cedar", ""), ("Cedar", email), ("Ben's Aster", ""), ("Aster", email)]
    assert listed(ben, services) == everything
    assert listed(ben, services, search="CED") == everything[:2]
    pages, after = [], None
    for _ in range(4):
        [card] = characters.listing(ben, services, after=after, limit=1)
        pages.append((card.name, card.owner_name))
        after = (card.updated_at, card.id)
    assert pages == everything
    assert [name for name, _ in listed(ana, services)] == ["Kept", "Cedar", "Aster"]


def test_its_pictures_stand_in_the_members_library_in_their_order(services, ana, ben, hers):
    kept = a_character(ana, services, name="Kept")
    own = a_character(ben, services, name="Own")
    share(hers, ana, ben, services)
    made = [
        a_finished_portrait(who, services, of, size=SMALL).job.id
        for who, of in ((ana, hers), (ben, own), (ana, kept), (ana, hers))
    ]
    wanted = [made[3], made[1], made[0]]

    def shown(**asked) -> list:
        page = library.page(library.Wanted(**asked), ben, services)
        return [
            one(services.db, "SELECT job_id FROM user_library WHERE id = %s", (i.id,)) for i in page.items
        ]

    first = library.page(library.Wanted(), ben, services, limit=2)
    second = library.page(library.Wanted(), ben, services, limit=2, cursor=first.next_cursor)
    assert shown() == wanted
    assert [item.mine for item in (*first.items, *second.items)] == [False, True, False]
    assert all(item.url and item.thumbnail_url for item in first.items)
    assert shown(character_id=hers.id) == [made[3], made[0]]
    assert shown(character_id=kept.id) == []
    assert library.count(library.Wanted(), ben, services) == "3"
    members.remove(hers.id, ben.id, ana, services)
    assert shown() == [made[1]]


# ---- looking


def test_a_member_who_looks_reads_everything_of_it(services, ana, ben, hers):
    done = a_finished_portrait(ana, services, hers, size=SMALL)
    scenes.create(hers.id, {"scene_name": "At the pier"}, ana, services)
    share(hers, ana, ben, services)

    grid = portraits.grid(hers.id, ben, services)
    [details] = portraits.details([done.portrait_id], ben, services)
    portraits.rate(done.portrait_id, ben, services, favourite=True)
    copy = characters.duplicate(hers.id, ben, services)

    assert characters.load(hers.id, ben, services).name == hers.name
    assert grid.total == 1
    assert grid.tiles[0].full_url.startswith(f"/files/{LIBRARY}/{ana.id}/portraits/{hers.id}/")
    assert details.own_words == "reading a letter"
    assert details.presets == portraits.details([done.portrait_id], ana, services)[0].presets
    assert [card.scene.scene_name for card in scenes.cards(hers.id, ben, services)] == ["At the pier"]
    assert history.versions(hers.id, ben, services) == history.versions(hers.id, ana, services)
    assert exporting.export(hers.id, exporting.Kind.v3, ben, services).data != b""
    assert copies.copy_of(done.portrait_id, Kind.original, ben, services).data != b""
    assert (copy.user_id, copy.description) == (ben.id, hers.description)


def changes(of, scene, portrait, person, services):
    """Every use case that changes a character or what hangs on it, by name."""
    here = {"person": person, "services": services}
    return {
        "save": lambda: characters.save(of.id, {"persona": "x"}, version=of.version, **here),
        "publish": lambda: characters.publish(of.id, version=of.version, **here),
        "settle_rating": lambda: characters.settle_rating(
            of.id, ContentRating.sfw, version=of.version, **here
        ),
        "ask": lambda: generation.request(a_request(of), person, services),
        "ask, scene": lambda: generation.request(scenes.picture_request(scene.id, of.id), person, services),
        "again": lambda: portraits.again(portrait, "key", person, services),
        "make_primary": lambda: portraits.make_primary(portrait, person, services),
        "delete portrait": lambda: portraits.delete(portrait, person, services),
        "delete portraits": lambda: portraits.delete_many(of.id, [portrait], person, services),
        "restore portraits": lambda: portraits.restore_many(of.id, [portrait], person, services),
        "reorder": lambda: portraits.reorder(of.id, [str(portrait)], person, services),
        "new scene": lambda: scenes.create(of.id, {"scene_name": "x"}, person, services),
        "save scene": lambda: scenes.save(scene.id, {"scene_name": "x"}, person, services),
        "delete scene": lambda: scenes.delete(scene.id, person, services),
        "order scenes": lambda: scenes.reorder(of.id, [scene.id], person, services),
        "upload": lambda: uploaded(of, person, services),
        "pick": lambda: references.pick_portrait(of.id, portrait, version=of.version, **here),
        "take off": lambda: references.remove(of.id, version=of.version, **here),
        "match": lambda: references.choose_match(of.id, True, version=of.version, **here),
        "bring a version back": lambda: history.restore(
            of.id, history.versions(of.id, person, services)[-1].id, version=of.version, **here
        ),
    }


def test_a_member_who_looks_changes_nothing_and_is_told_why(services, ana, ben, hers):
    portrait = a_finished_portrait(ana, services, hers, size=SMALL).portrait_id
    scene = scenes.create(hers.id, {"scene_name": "A", "scene_description": "A pier."}, ana, services)
    version = hers.version
    for persona in ("Dry.", "Drier."):
        version = characters.save(
            hers.id, {"persona": persona}, version=version, person=ana, services=services
        ).version
        rows(services.db, "UPDATE studio.character_versions SET who = NULL RETURNING id")
    hers = characters.load(hers.id, ana, services)
    share(hers, ana, ben, services)
    before = everything(services)

    for name, change in changes(hers, scene, portrait, ben, services).items():
        with pytest.raises(NotAllowed) as refused:
            change()
        assert refused.value.reason == "LOOK_ONLY", name

    assert everything(services) == before


def everything(services) -> list:
    return [
        rows(services.db, f"SELECT to_jsonb(t) FROM {table} t ORDER BY 1")
        for table in ("characters", "character_portraits", "character_scenes", "jobs", "user_library")
    ]


# ---- changing, and who pays


def test_a_member_who_may_change_it_does_what_its_owner_does(services, ana, ben, hers):
    portrait = a_finished_portrait(ana, services, hers, size=SMALL).portrait_id
    scene = scenes.create(hers.id, {"scene_name": "A", "scene_description": "A pier."}, ana, services)
    share(hers, ana, ben, services, can_edit=True)

    for name in (*changes(hers, scene, portrait, ben, services),):
        if name == "match":
            continue  # the reference was taken off before
        hers = characters.load(hers.id, ben, services)
        if name == "delete scene":
            scene = scenes.create(hers.id, {"scene_name": "B"}, ben, services)
        changes(hers, scene, portrait, ben, services)[name]()
        if name.startswith("delete portrait"):
            portraits.restore(portrait, ben, services)

    assert characters.load(hers.id, ana, services).is_public is True


def test_what_a_member_makes_lies_with_the_owner_is_paid_by_the_member_and_seen_by_both(
    services, ana, ben, hers
):
    share(hers, ana, ben, services, can_edit=True)
    job = a_waiting_job(ben, services, hers, size=SMALL).job_id
    waiting = [tile.id for tile in portraits.running(hers.id, ana, services)]

    work(services)

    asked_by, paid_by, lies_at, is_of = rows(
        services.db,
        """
        SELECT j.user_id, e.user_id, l.storage_path, l.user_id
        FROM jobs j JOIN studio.cost_entries e ON e.job_id = j.id AND e.kind = 'estimated'
        JOIN user_library l ON l.job_id = j.id WHERE j.id = %s
        """,
        (job,),
    )[0]
    assert waiting == [str(job)]
    assert (asked_by, paid_by, is_of) == (ben.id, ben.id, ana.id)
    assert lies_at.startswith(f"{ana.id}/portraits/{hers.id}/{job}.")
    for person in (ana, ben):
        [tile] = portraits.grid(hers.id, person, services).tiles
        assert tile.full_url, person.name
        assert generation.outcome(job, person, services).image_link, person.name


def test_the_members_budget_pays_and_not_the_owners(services, ana, ben, hers):
    admin = a_person(services.db, "ada", Role.admin)
    share(hers, ana, ben, services, can_edit=True)
    flux = one(services.db, "SELECT id FROM api_models WHERE model_key = 'fal-ai/flux/dev'")
    budget(services, admin, ana.id)

    a_waiting_job(ben, services, hers, model_id=flux)
    budget(services, admin, ben.id)
    with pytest.raises(BudgetSpent):
        a_waiting_job(ben, services, hers, model_id=flux)


def budget(services, admin, person: PersonId) -> None:
    budgets.save(Decimal("0.001"), budgets.Period.day, admin, services, of=person, reserve_usd=Decimal(1))


def test_the_owner_stops_what_a_member_asked_for_and_tries_it_again(services, ana, ben, hers):
    share(hers, ana, ben, services, can_edit=True)
    job = a_waiting_job(ben, services, hers).job_id

    assert generation.cancel(job, ana, services) == "cancelled"
    again = generation.retry(job, ana, services)

    assert one(services.db, "SELECT user_id FROM jobs WHERE id = %s", (again.job_id,)) == ana.id


def test_a_member_neither_deletes_nor_brings_back_the_character(services, ana, ben, hers):
    share(hers, ana, ben, services, can_edit=True)

    with pytest.raises(NotAllowed) as refused:
        characters.delete(hers.id, ben, services)
    characters.delete(hers.id, ana, services)
    with pytest.raises(NotAllowed):
        characters.restore(hers.id, ben, services)

    assert refused.value.reason == "NOT_THE_OWNER"
    assert "leave" in refused.value.sentence


# ---- what is offered


def test_what_is_offered_of_a_job_is_what_its_use_case_takes_from_that_person(services, ana, ben, hers, fal):
    """Owner, members who edit and who look, a stranger, and those who look across people; waiting, failed, cancelled."""
    cleo, dora = (a_person(services.db, name, Role.editor) for name in ("cleo", "dora"))
    quinn, pia = a_person(services.db, "quinn", Role.qa), a_person(services.db, "pia", Role.product)
    share(hers, ana, ben, services, can_edit=True)
    share(hers, ana, cleo, services)
    told = {}
    for person in (ana, ben, cleo, dora, quinn, pia):
        for deed, status in (("cancel", "queued"), ("retry", "failed"), ("dismiss", "cancelled")):
            job_id = a_waiting_job(ana, services, hers).job_id
            if status != "queued":
                rows(services.db, "UPDATE jobs SET status = %s WHERE id = %s RETURNING id", (status, job_id))
            job = generation.outcome(job_id, ana, services).job
            offered = getattr(generation.offer_of(job, person, services), deed)
            try:
                getattr(generation, deed)(job_id, person, services)
            except (NotFound, NotAllowed):
                assert not offered, (person.name, deed)
            else:
                assert offered, (person.name, deed)
            told[person.name, deed] = offered

    assert {who for (who, deed), offered in told.items() if offered and deed == "cancel"} == {
        "ana", "ben", "quinn"
    }  # fmt: skip
    assert {who for (who, deed), offered in told.items() if offered and deed != "cancel"} == {"ana", "ben"}


def test_a_member_who_looks_is_offered_nothing_of_a_job_wherever_it_is_shown(services, ana, ben, hers):
    told = {"scene_name": "At the pier", "scene_description": "Fog."}
    scene = scenes.create(hers.id, told, ana, services)
    waiting, failed = (a_waiting_job(ana, services, hers).job_id for _ in range(2))
    pictured = generation.request(scenes.picture_request(scene.id, hers.id), ana, services).job_id
    for job_id in (failed, pictured):
        rows(services.db, "UPDATE jobs SET status = 'failed' WHERE id = %s RETURNING id", (job_id,))

    def offered(person):
        tiles = {tile.id: tile for tile in portraits.tiles(hers.id, person, services)}
        [card] = scenes.cards(hers.id, person, services)
        in_line = {job.id: job.can_cancel for job in line.line_for(person, services).jobs}
        end = tiles[str(failed)]
        return [
            tiles[str(waiting)].can_cancel, end.can_retry, end.can_dismiss,
            card.job.can_retry, card.job.can_dismiss, in_line[waiting],
        ]  # fmt: skip

    share(hers, ana, ben, services)
    assert offered(ben) == [False] * 6
    assert offered(ana) == [True] * 6
    members.change(hers.id, ben.id, ana, services, can_edit=True)
    assert offered(ben) == [True] * 6


def test_a_job_of_the_platform_is_offered_neither_an_end_nor_a_dismissal(services, ana, hers):
    made = one(
        services.db,
        """INSERT INTO jobs (user_id, job_type, status, character_id, metadata)
           VALUES (%s, 'character_portrait', 'processing', %s, '{"destination": "character_portrait"}') RETURNING id""",
        (ana.id, hers.id),
    )

    [tile] = portraits.tiles(hers.id, ana, services)

    assert (tile.id, tile.can_cancel, tile.can_retry, tile.can_dismiss) == (str(made), False, False, False)


# ---- pictures to match


def test_a_member_matches_the_picture_that_the_owner_chose_wherever_it_is_from(services, ana, ben, hers, fal):
    elsewhere = uploaded(a_character(ana, services, name="Kept"), ana, services)
    chosen = references.choose(hers.id, elsewhere.id, version=hers.version, person=ana, services=services)
    references.choose_match(hers.id, True, version=chosen.version, person=ana, services=services)
    share(hers, ana, ben, services, can_edit=True)

    job = a_waiting_job(ben, services, hers).job_id
    work(services)

    said = one(services.db, "SELECT metadata ->> 'reference_image_url' FROM jobs WHERE id = %s", (job,))
    assert said == elsewhere.address
    assert generation.outcome(job, ben, services).job.status == "completed"


def test_another_picture_of_the_owner_is_refused_and_noted(services, ana, ben, hers):
    kept = a_character(ana, services, name="Kept")
    upload = uploaded(kept, ana, services)
    saved = a_finished_portrait(ana, services, kept, size=SMALL)
    share(hers, ana, ben, services, can_edit=True)

    for value in (upload.address, f"{LIBRARY}/{saved.storage_path}"):
        with pytest.raises(NotAllowed):
            generation.preview(a_request(hers, reference=value), ben, services)

    noted = rows(
        services.db,
        "SELECT who, row_id FROM studio.audit_events WHERE action = 'foreign_path_refused' ORDER BY id",
    )
    assert noted == [(ben.id, upload.address), (ben.id, f"{LIBRARY}/{saved.storage_path}")]


def test_a_members_upload_lies_with_the_owner_and_both_see_it(services, ana, ben, hers):
    share(hers, ana, ben, services, can_edit=True)

    upload = uploaded(hers, ben, services)

    assert upload.address.startswith(f"{REFERENCES}/{ana.id}/{hers.id}/")
    for person in (ana, ben):
        assert [r.id for r in references.recent(person, services, character_id=hers.id)] == [upload.id]


# ---- being told, and the end of it


def test_a_member_hears_who_has_it_open_and_a_stranger_does_not(services, ana, ben, hers):
    share(hers, ana, ben, services)
    stranger = a_person(services.db, "cleo", Role.editor)
    page = OpenPage(ana, services)

    assert [one_of.name for one_of in presence_heard(services, ben, lambda: page.go_to(hers.id), most=1)] == [
        "ana"
    ]
    assert presence_heard(services, stranger, page.leave, seconds=0.5) == []


def test_when_it_is_withdrawn_nothing_of_it_is_left_but_what_the_member_paid(services, app, ana, ben, hers):
    share(hers, ana, ben, services, can_edit=True)
    done = a_finished_portrait(ben, services, hers, size=SMALL)
    waiting = a_waiting_job(ben, services, hers, size=SMALL).job_id
    download = f"/downloads/portraits/{done.portrait_id}"
    assert app.as_(ben).get(download).status_code == 200

    members.remove(hers.id, ben.id, ana, services)
    work(services)

    for look in (characters.load, portraits.grid, scenes.cards, members.of_character, characters.duplicate):
        with pytest.raises(NotFound):
            look(hers.id, ben, services)
    assert app.as_(ben).get(download).status_code == 404
    assert listed(ben, services) == []
    assert library.page(library.Wanted(), ben, services).items == ()
    mine = generation.outcome(waiting, ben, services)
    assert (mine.job.status, mine.image_link, mine.portrait_id) == ("completed", "", None)
    assert one(services.db, "SELECT DISTINCT user_id FROM studio.cost_entries") == ben.id
    assert portraits.grid(hers.id, ana, services).total == 2


def test_a_member_leaves_by_themselves(services, ana, ben, hers):
    share(hers, ana, ben, services)

    assert members.of_character(hers.id, ben, services).can_leave is True
    assert members.leave(hers.id, ben, services) is True
    assert listed(ben, services) == []


def test_who_works_on_it_is_shown_to_its_owner_and_its_members_alike(build, services, ana, ben, hers):
    anas = in_the_team(ana, services)
    share(hers, ana, ben, services, can_edit=True)

    by_ana = members.of_character(hers.id, ana, services)
    by_ben = members.of_character(hers.id, ben, services)
    together = members.of_character(hers.id, ana, build(team_sharing=True))

    assert [(one_of.name, one_of.is_owner, one_of.can_edit) for one_of in by_ana.people] == [
        (anas, True, True),
        (in_the_team(ben, services), False, True),
    ]
    assert [one_of.is_me for one_of in by_ben.people] == [False, True]
    assert (by_ana.can_share, by_ben.can_share, by_ana.everybody, together.everybody) == (
        True,
        False,
        False,
        True,
    )


def test_a_member_who_lost_the_editor_role_is_shown_as_such(services, ana, ben, hers):
    share(hers, ana, ben, services)
    with services.db.as_service() as conn:
        conn.execute("UPDATE auth.users SET raw_app_meta_data = '{}' WHERE id = %s", (ben.id,))

    [_, member] = members.of_character(hers.id, ana, services).people

    assert member.has_role is False


NO_LIST = ('{"roles": "editor"}', '{"roles": {"editor": true}}', '{"roles": [["editor"]]}', '{"roles": null}')


@pytest.mark.parametrize("metadata", NO_LIST)
def test_who_has_roles_in_no_list_is_no_editor_to_share_with_and_nobody_of_the_team(
    services, ana, ben, hers, metadata
):
    email = in_the_team(ben, services)
    share(hers, ana, ben, services)
    with services.db.as_service() as conn:
        conn.execute("UPDATE auth.users SET raw_app_meta_data = %s WHERE id = %s", (metadata, ben.id))

    [_, member] = members.of_character(hers.id, ana, services).people
    with pytest.raises(NotFound) as refused:
        members.add(hers.id, email, ana, services, can_edit=True)
    quinn = a_person(services.db, "quinn", Role.qa)

    assert member.has_role is False
    assert refused.value.reason == "NO_SUCH_EDITOR"
    assert ben.id not in {one.id for one in findings.team(quinn, services)}
