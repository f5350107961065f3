"""What adoption found, on the findings page: who mends what, and what became of it; the check of every row beside it."""

import json
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from audit import adoption
from audit.tables import as_csv
from core import findings, row_rules
from core.audit import adoptions
from core.auth import LOCAL_PERSON
from core.db import row_sweeps
from core.errors import NotAllowed
from core.values import Role
from tests.builders import a_character, a_person, one, rows
from tests.screens.browser import visit
from tests.screens.dashboard import keys_of, pages_on, settled, text_of

ED = replace(LOCAL_PERSON, roles=frozenset({Role.editor}))
PAT = replace(LOCAL_PERSON, roles=frozenset({Role.product}))
LONG, ODD = "row.name_long", "row.details_no_object"
ROW = "5f0e9d10-aaaa-4bbb-8ccc-{:012}"


def adopted(services, *, ended="now() - interval '2 days'", found=None):
    with services.db.as_service() as conn:
        conn.execute(
            "INSERT INTO studio.adoptions (began_at, ended_at, rows_before, corrections, found)"
            f" VALUES (now() - interval '2 days 4 minutes', {ended}, %s, %s, %s)",
            [
                json.dumps({"jobs": 50_000, "characters": 10_000, "style_images": 1}),
                json.dumps({"second_primaries": 35}),
                json.dumps(found if found is not None else {LONG: 3, ODD: 1}),
            ],
        )


def found(services, rule, number, *, age="2 days 1 minute", **more):
    with services.db.as_service() as conn:
        for place in range(number):
            conn.execute(
                "INSERT INTO studio.findings (rule, table_name, row_id, sentence, first_seen, last_seen)"
                " VALUES (%s, 'characters', %s, 'Its name has more than 50 characters.', now() - %s::interval, now())",
                [rule, ROW.format(place + more.get("offset", 0)), age],
            )


@pytest.fixture
def world(services):
    """An adoption of four findings, one of each fate, and a finding of today."""
    adopted(services)
    found(services, LONG, 3)
    found(services, ODD, 1)
    found(services, ODD, 1, age="1 hour", offset=50)
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE studio.findings SET mended_at = now() WHERE rule = %s AND row_id = %s",
            [LONG, ROW.format(0)],
        )
        conn.execute(
            "UPDATE studio.findings SET set_aside_at = now(), set_aside_why = 'x' WHERE rule = %s AND row_id = %s",
            [LONG, ROW.format(1)],
        )
    return services


def lines(services):
    with services.db.as_reader(LOCAL_PERSON) as conn:
        latest = adoptions.latest(conn)
        return adoption.lines_of(latest, adoptions.became(conn, latest))


def test_a_database_of_our_own_says_nothing_of_an_adoption(pages):
    page = pages("findings")

    assert [one.label for one in page.expander] == []
    assert [box.key for box in page.selectbox if box.key == "origin"] == []


def test_each_rule_says_what_became_of_its_rows_and_who_mends_them(pages, world):
    said = text_of(pages("findings"))

    assert "<b>10,000</b> characters" in said
    assert "<b>1</b> style image<" in said
    assert "35 second primary portraits gave up their stars to the newest" in said
    assert "4 findings by 2 rules" in said
    numbers = {
        one.name: (one.found, one.became.mended.number, one.became.set_aside.number, one.became.open.number)
        for one in lines(world)
    }
    assert numbers == {LONG: (3, 1, 1, 1), ODD: (1, 0, 0, 1)}
    assert 'data-name="still open" data-is=open>1<' in said
    assert '<span class="au-who" role="cell">Editor</span>' in said


def test_an_adoption_that_stopped_says_so(pages, services):
    adopted(services, ended="NULL", found={})

    said = text_of(pages("findings"))

    assert "has not come to its end" in said
    assert "goes on where it stopped" in said


@pytest.mark.parametrize(
    ("address", "number"),
    [
        ({}, 3),
        ({"who": "Editor"}, 1),
        ({"who": "QA"}, 2),
        ({"who": "Product"}, 0),
        ({"origin": "From adoption"}, 2),
        ({"origin": "From adoption", "who": "QA"}, 1),
        ({"origin": "From adoption", "age": "Found within 24 hours"}, 0),
        ({"rule": "A name that is too long", "who": "QA"}, 0),
        ({"rule": "A name that is too long", "origin": "From adoption", "state": "Set aside"}, 1),
    ],
)
def test_the_list_is_narrowed_to_who_mends_and_to_the_adoption(pages, world, address, number):
    page = pages("findings", **address)

    assert sum(len(table.value) for table in page.dataframe) == number
    assert [one.proto.expanded for one in page.expander] == [not set(address) - {"state"}]


def test_an_origin_of_another_database_lists_nothing(pages, services):
    found(services, LONG, 1)

    page = pages("findings", origin="From adoption")

    assert len(page.dataframe) == 1  # the address asks for what this page never offered


def test_all_findings_of_a_rule_are_given_to_a_colleague_at_once(pages, world, services):
    colleague = a_person(services.db, "quinn", Role.qa)
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE auth.users SET raw_app_meta_data = '{\"roles\": [\"qa\"]}', email = 'quinn@team.invalid' WHERE id = %s",
            (colleague.id,),
        )
    page = pages("findings", rule="Details that cannot be read")

    page.selectbox(key="all_to").set_value("quinn@team.invalid").run()
    page.button(key="give_all_yes").click().run()

    assert "2 findings are now quinn@team.invalid’s." in [toast.value for toast in page.toast]
    assert (
        rows(services.db, "SELECT rule, owner FROM studio.findings WHERE owner IS NOT NULL")
        == [(ODD, colleague.id)] * 2
    )
    assert rows(
        services.db, "SELECT count(*) FROM studio.audit_events WHERE action = 'finding_assigned'"
    ) == [(2,)]


def test_more_than_one_word_can_give_are_given_in_parts(services, world):
    found(services, "row.tags_many", 7)
    wanted = findings_of("row.tags_many")

    first = findings.assign_all(wanted, LOCAL_PERSON.id, LOCAL_PERSON, services, most=5)
    again = findings.assign_all(wanted, LOCAL_PERSON.id, LOCAL_PERSON, services)

    assert (first.number, first.more) == (5, True)
    assert (again.number, again.more) == (2, False)


def findings_of(rule):
    return findings.FindingFilter(rules=(rule,))


def test_the_file_holds_every_rule_of_the_adoption(world):
    with world.db.as_reader(LOCAL_PERSON) as conn:
        text = as_csv(adoption.sheet(adoptions.latest(conn), lines(world))).decode("utf-8-sig")

    assert text.splitlines()[0] == "rule,title,who,found,mended,set_aside,still_open,counted_to"
    assert f"{LONG},A name that is too long,Editor,3,1,1,1," in text


def test_a_colleague_without_the_role_sees_neither_the_adoption_nor_the_check(world):
    with pages_on(world, ED) as opened:
        page = opened("findings")

    assert [one.label for one in page.expander] == []
    assert "rows_check_now" not in keys_of(page)


def test_every_row_is_checked_when_qa_asks_and_the_page_follows(pages, services, world):
    named = a_character(LOCAL_PERSON, services)
    with services.db.as_service() as conn:
        conn.execute("UPDATE characters SET name = %s WHERE id = %s", ["M" * 60, named.id])
    page = pages("findings")
    assert "Not every row was checked yet" in text_of(page)

    page.button(key="rows_check_now").click().run()
    assert page.button(key="rows_check_now").disabled
    assert "worker" in page.get("progress")[0].proto.text
    assert row_rules.sweep_if_asked(services)[LONG] == 1
    page.run()

    assert "Every row was checked" in text_of(page)
    assert row_rules.sweep_if_asked(services) is None
    assert rows(services.db, "SELECT asked_by, finished_at IS NOT NULL FROM studio.row_sweeps") == [
        (LOCAL_PERSON.id, True)
    ]
    assert rows(
        services.db, "SELECT who, action FROM studio.audit_events WHERE table_name = 'row_sweeps'"
    ) == [(LOCAL_PERSON.id, "rows_check_asked")]


@pytest.mark.parametrize("person", [ED, PAT])
def test_without_the_role_nobody_asks_for_a_check(services, person):
    with pytest.raises(NotAllowed, match="qa or admin role"):
        row_rules.ask(person, services)
    with pytest.raises(NotAllowed, match="qa role"), services.db.as_user(person) as conn:
        row_sweeps.ask(conn)

    assert one(services.db, "SELECT count(*) FROM studio.row_sweeps") == 0


def test_a_worker_carries_out_what_was_asked_for(services, live_worker, eventually):
    named = a_character(LOCAL_PERSON, services)
    with services.db.as_service() as conn:
        conn.execute("UPDATE characters SET name = %s WHERE id = %s", ["M" * 60, named.id])

    row_rules.ask(LOCAL_PERSON, services)

    asked = "SELECT rule FROM studio.findings WHERE row_id = %s"
    eventually(lambda: rows(services.db, asked, [str(named.id)]) == [(LONG,)], seconds=20)
    eventually(lambda: one(services.db, "SELECT finished_at FROM studio.row_sweeps") is not None, seconds=10)
    clocks = "SELECT count(*) FROM studio_queue.pgqueuer_schedules WHERE entrypoint LIKE 'check_rows%%'"
    eventually(lambda: one(services.db, clocks) == 2, seconds=10)


# ---- in a browser


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_qa_goes_from_the_adoption_to_a_rule_and_gives_all_of_it_away(
    browser, dashboard, world, services, width, scheme
):
    size = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    with visit(browser, f"{dashboard}/findings?live=false", **size) as desk:
        page = desk.page
        expect(page.get_by_text("35 second primary portraits gave up their stars")).to_be_visible(
            timeout=30_000
        )
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.get_by_role("link", name="Show: A name that is too long").click()
        expect(page.get_by_text("What to do")).to_be_visible(timeout=30_000)
        expect(page.get_by_text("1 open · 1 mended · 1 set aside")).to_be_visible()
        settled(page)
        page.get_by_role("button", name="Give all to").click()
        page.get_by_role("combobox", name="To whom?").click()
        page.get_by_role("option").nth(1).click()
        settled(page)
        page.get_by_role("button", name="Give them all").click()
        expect(page.get_by_text("1 finding is now")).to_be_visible(timeout=30_000)

    assert rows(services.db, "SELECT rule FROM studio.findings WHERE owner IS NOT NULL") == [(LONG,)]
    assert desk.watch.complaints == []
    assert desk.watch.outside == []
