"""Every address of the running application: who × address × whose row, both ways."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx

from studio import serving as files
from tests.rights import surfaces
from tests.rights.site import NOBODY, Site
from tests.rights.table import WHOSE
from tests.rights.ways import ROUTES, For, Way
from tests.rights.world import OWNER, WHO, stand

EVERYBODY = (NOBODY, *WHO)
FILLED = {
    "{version}": files.address().rpartition("/")[2],
    "{name}": "studio.css",
    "{provider}": "fal",
    "{path:path}": "x",
    "{bucket}": "user-library",
}


def cases(way: Way) -> Iterator[tuple[str, str]]:
    for who in EVERYBODY:
        for whose in WHOSE if way.of_rows else ("own",):
            if (who, whose) not in {(OWNER, "another's"), (NOBODY, "own")} or not way.of_rows:
                yield who, whose


def may(way: Way, who: str, whose: str) -> bool:
    return who != NOBODY and way.rule(who, whose)


def asked(site: Site, name: str, way: Way, who: str, whose: str) -> httpx.Response:
    ask = way.ask(site.world.row(OWNER if who == NOBODY else who, whose))
    return site.client(who, whose).request(
        name.split(maxsplit=1)[0], ask.path, params=ask.query, content=ask.body, headers=ask.headers
    )


def wrong(answer: httpx.Response, who: str) -> bool:
    """A refusal has the form of every refusal, and says nothing but who has to sign in."""
    if who == NOBODY:
        return answer.status_code != 401 or answer.json()["code"] != "MISSING_AUTH"
    body = answer.json()
    return (
        answer.status_code not in {403, 404}
        or body["success"] is not False
        or not body["error"].endswith(".")
    )


def ways() -> Iterator[tuple[str, Way]]:
    for name, line in ROUTES.items():
        if isinstance(line, Way):
            yield name, line


def test_every_address_of_ours_has_a_line_and_every_line_an_address(site):
    found = surfaces.routes(site.app)
    ours = {str(one) for one in found if one.is_ours}

    assert ours - set(ROUTES) == set()
    assert set(ROUTES) - {str(one) for one in found} == set()


def test_who_may_not_is_refused_alike_and_nothing_changes(site, count):
    before = stand(site.world.apart)
    told = {
        (name, who, whose): asked(site, name, way, who, whose)
        for name, way in ways()
        for who, whose in cases(way)
        if not may(way, who, whose)
    }

    assert {case: said.text[:200] for case, said in told.items() if wrong(said, case[1])} == {}
    assert [case for case, said in told.items() if said.headers["cache-control"] != "no-store"] == []
    assert [
        case
        for case, said in told.items()
        if case[2] == "another's" and any(one in said.text for one in site.world.work[OWNER].secrets)
    ] == []
    assert stand(site.world.apart) == before
    count(f"addresses: {len(told)} cases refused")


def test_a_row_one_may_not_see_is_answered_like_one_that_is_not_there(site):
    seen = {
        (name, who): [
            (said.status_code, re.sub(r"[0-9a-f-]{36}", "", said.text))
            for said in (asked(site, name, way, who, whose) for whose in ("another's", "missing"))
        ]
        for name, way in ways()
        for who in ("customer", "colleague")
        if way.of_rows
    }

    assert {case: pair for case, pair in seen.items() if pair[0] != pair[1]} == {}


def test_who_may_is_served(fresh_site, count):
    told = {
        (name, who, whose): asked(fresh_site, name, way, who, whose)
        for name, way in ways()
        for who, whose in cases(way)
        if may(way, who, whose)
    }

    assert {case: said.text[:200] for case, said in told.items() if said.status_code >= 300} == {}
    count(f"addresses: {len(told)} cases served")


def plain(site: Site, name: str, who: str) -> httpx.Response:
    method, path = name.split()
    for word, value in FILLED.items():
        path = path.replace(word, value)
    return site.client(who).request(method, path)


def test_what_is_for_everybody_says_the_same_to_everybody_and_nothing_of_anybody(site, count):
    names = [name for name, line in ROUTES.items() if line is For.everybody]
    said = {(name, who): plain(site, name, who) for name in names for who in EVERYBODY}

    assert {case: one.status_code for case, one in said.items() if one.status_code in {401, 403, 500}} == {}
    assert [name for name in names if len({said[name, who].content for who in EVERYBODY}) != 1] == []
    ids = [str(person.id) for person in site.world.people.values()]
    assert [case for case, one in said.items() if any(its in one.text for its in ids)] == []
    count(f"addresses: {len(said)} cases open to everybody")


def test_who_knows_no_signature_reports_nothing_and_nobody_reads_the_numbers_from_outside(site):
    reports = {who: plain(site, "POST /callbacks/{provider}", who).status_code for who in EVERYBODY}
    outside = {
        who: site.client(who).get("/metrics", headers={"x-forwarded-for": "192.0.2.7"}).status_code
        for who in EVERYBODY
    }

    assert set(reports.values()) <= {400, 403, 404}
    assert set(outside.values()) == {403}


def test_a_page_is_for_the_team_nobody_is_sent_to_the_sign_in_and_a_customer_is_told_why(site, count):
    names = [name for name, line in ROUTES.items() if line is For.page]
    said = {(name, who): plain(site, name, who) for name in names for who in EVERYBODY}

    for (name, who), answer in said.items():
        if who == NOBODY:
            assert answer.status_code == 303, name
            assert answer.headers["location"].startswith("/sign-in?next=%2Fstudio"), name
        elif who == "customer":
            assert answer.status_code == 403, name
            assert name.startswith("HEAD") or "needs the editor, qa, product or admin role" in answer.text
            assert "gradio_config" not in answer.text
        else:
            assert answer.status_code in {200, 301, 307}, (name, who)
            others = [str(person.id) for other, person in site.world.people.items() if other != who]
            rows = [one for row in site.world.work.values() for one in (row.character.name, row.path)]
            assert not any(one in answer.text for one in (*others, *rows)), (name, who)
    count(f"addresses: {len(said)} cases of pages")


def test_the_parts_of_a_page_are_for_the_team(site, count):
    names = [name for name, line in ROUTES.items() if line is For.part and not name.startswith("WS")]
    told = {(name, who): plain(site, name, who) for name in names for who in EVERYBODY}
    said = {case: answer.status_code for case, answer in told.items()}

    assert {status for (_, who), status in said.items() if who == NOBODY} == {401}
    assert {status for (_, who), status in said.items() if who == "customer"} == {403}
    # asked for without what they need: a session, an event
    assert {status for (_, who), status in said.items() if WHO.get(who)} <= {200, 400}
    count(f"addresses: {len(said)} cases of a page's parts")


def test_whatever_else_gradio_brings_is_there_for_nobody(site, count):
    brought = [one for one in surfaces.routes(site.app) if not one.is_ours and str(one) not in ROUTES]
    # a trailing slash makes no other address of what the pages do need
    closed = [one for one in brought if str(one).rstrip("/") not in ROUTES]
    said = {
        (str(one), who): site.client(who).request(one.method, re.sub(r"\{[^}]*\}", "1", one.path))
        for one in closed
        for who in EVERYBODY
    }

    assert len(closed) > 60
    assert {case: answer.status_code for case, answer in said.items() if answer.status_code != 404} == {}
    bodies = {answer.text for (name, _), answer in said.items() if not name.startswith("HEAD")}
    assert len(bodies) == 1
    count(f"addresses: {len(said)} cases of what Gradio brings and nobody gets")


def test_no_other_spelling_of_an_address_opens_it(site):
    spellings = (
        "/studio//gradio_api/upload",
        "/studio/./gradio_api/upload",
        "/studio/%67radio_api/upload",
        "/studio/static/../gradio_api/info",
        "/studio/static/%2e%2e/gradio_api/info",
        "/studio/gradio_api/info/",
        "/studio/gradio_api//info",
        "/STUDIO/gradio_api/info",
        "/studio/gradio_api/queue/data/x",
        "/studio/static/..%2f..%2f..%2fpyproject.toml",
        "/studio/assets/..%2f..%2f..%2f..%2fetc%2fpasswd",
    )
    said = {}
    with httpx.Client(cookies={"who": "admin"}, timeout=30, trust_env=False) as client:
        for path in spellings:
            url = httpx.URL(site.apart).copy_with(raw_path=path.encode())
            said[path] = client.get(url).status_code

    assert {path: status for path, status in said.items() if status not in {403, 404}} == {}
