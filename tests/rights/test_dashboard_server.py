"""`python -m audit` as a team runs it: every address Streamlit brings, every page, socket, picture and file, by role and
both ways; and what becomes of an open page whose person was signed out or lost a role.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from audit import door, sockets
from audit.navigation import FIRST, ROOMS
from core import sessions
from core.values import Person, Role
from tests.rights.dashboard_page import Page, opened
from tests.rights.dashboard_server import NOBODY, ROOT, Dashboard, hosted, people, signed_in
from tests.rights.table import reads
from tests.rights.world import OWNER, WHO

NAMES = tuple(room.name for members in ROOMS.values() for room in members)
EVERYBODY = (*WHO, NOBODY)
TEAM = frozenset(who for who, roles in WHO.items() if roles)
LOOKERS = frozenset({"qa", "product", "admin"})
REPAIRERS = frozenset({"qa", "admin"})
MAKERS = frozenset({"product", "admin"})
ADMIN = frozenset({"admin"})
EDITORS = frozenset({"editor", "colleague", "guest", "helper"})
HTML = {"accept": "text/html,application/xhtml+xml"}

FOUND = """
import json
from streamlit.web.server.server import Server
from streamlit.web.server.starlette.starlette_app import create_streamlit_routes
made = create_streamlit_routes(Server("audit_app.py", False)._runtime)
print(json.dumps([f"{method} {one.path}" for one in made for method in getattr(one, "methods", None) or [type(one).__name__]]))
"""
READS = ("GET", "HEAD", "OPTIONS")
AGENTS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
# What each address of Streamlit's answers to somebody of the team; everybody else is refused at each of them.
ADDRESSES: Mapping[str, int] = {
    **{
        f"{method} /_stcore/agent/{name}": 404
        for name in ("interact", "mcp", "openapi.json")
        for method in AGENTS
    },
    **{f"{method} /_stcore/metrics": 404 for method in READS},
    **{
        f"{method} /{name}": 404
        for name in ("auth/login", "auth/logout", "oauth2callback")
        for method in READS[:2]
    },
    **{
        f"{method} /_stcore/upload_file/{{session_id}}/{{file_id}}": 404
        for method in ("PUT", "DELETE", "OPTIONS")
    },
    **{f"{method} /_stcore/{name}": 200 for name in ("health", "host-config") for method in READS[:2]},
    "OPTIONS /_stcore/health": 404,
    **{
        f"{method} /{path}": 404
        for path in (
            "media/{file_id:path}",
            "component/{path:path}",
            "_stcore/bidi-components/{path:path}",
            "app/static/{path:path}",
        )
        for method in READS
    },
    "WebSocketRoute /_stcore/stream": 0,  # below
    "Mount ": 200,  # Streamlit's own page
}


@pytest.fixture(scope="module")
def dashboard(world) -> Iterator[Dashboard]:
    with hosted(world.apart, world.dsn) as running:
        yield running


@pytest.fixture(scope="module")
def everybody(world) -> dict[str, Person | None]:
    return people(world.people)


def asked(dashboard: Dashboard, name: str, person: Person | None) -> httpx.Response:
    method, _, path = name.partition(" ")
    for word in ("{file_id:path}", "{path:path}", "{session_id}", "{file_id}"):
        path = path.replace(word, f"{uuid4().hex}.png")
    method = "GET" if method == "Mount" else method
    return dashboard.asked(method, dashboard.url + (path or "/"), person)


# ---- every address -----------------------------------------------------------------------------------------------


def test_every_address_that_streamlit_brings_has_a_line():
    said = subprocess.run(
        [sys.executable, "-c", FOUND], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )

    assert set(json.loads(said.stdout.strip().splitlines()[-1])) == set(ADDRESSES)


def test_the_team_reaches_what_pages_need_and_nobody_else_reaches_anything(dashboard, everybody, count):
    lines = [name for name, said in ADDRESSES.items() if said]
    told = {
        (who, name): asked(dashboard, name, everybody[who]).status_code for who in EVERYBODY for name in lines
    }

    refused = {NOBODY: 401, "customer": 403}
    # what is not there is not there for anybody; a refusal says no more than that
    assert told == {
        (who, name): ADDRESSES[name]
        if who in TEAM
        else refused[who]
        if name.startswith(("GET", "HEAD", "Mount")) and not _is_closed(name)
        else 404
        for who in EVERYBODY
        for name in lines
    }
    count(f"dashboard: {len(told)} cases of its server's addresses")


def _is_closed(name: str) -> bool:
    return any(word in name for word in ("/agent/", "/metrics", "/upload_file", "/auth/", "oauth2callback"))


@pytest.mark.parametrize("name", NAMES)
def test_a_page_leads_to_the_sign_in_and_back_or_says_who_it_is_for(dashboard, everybody, name):
    path = f"/audit/{'' if name == FIRST else name}?q=a%20b"
    told = {who: dashboard.get(path, everybody[who], **HTML) for who in EVERYBODY}

    assert {who: one.status_code for who, one in told.items()} == {
        who: 303 if who == NOBODY else 200 if who in TEAM else 403 for who in EVERYBODY
    }
    back = httpx.URL(told[NOBODY].headers["location"])
    assert back.path == "/sign-in"
    assert httpx.URL(back.params["next"]) == httpx.URL(path)
    assert "needs the editor, qa, product or admin role" in told["customer"].text
    assert {one.headers["cache-control"] for one in told.values()} <= {"no-store", "no-cache"}


def test_every_answer_says_what_a_browser_may_load(dashboard, everybody):
    for who in (NOBODY, "customer", "qa"):
        for path in ("/audit/", "/audit/static/none.js", "/audit/_stcore/health", "/audit/media/none.png"):
            headers = dashboard.get(path, everybody[who], **HTML).headers
            assert "default-src 'self'" in headers["content-security-policy"]
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"


def test_health_is_told_to_whoever_asks_and_nothing_else_is(dashboard):
    assert dashboard.get("/healthz", None).json() == {"status": "ok"}
    assert dashboard.get("/readyz", None).json()["status"] == "ready"
    for path in (
        "/studio/",
        "/functions/v1/jobs/1",
        "/files/user-library/x",
        "/openapi.json",
        "/docs",
        "/metrics",
    ):
        assert dashboard.get(path, None).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/audit/app/static/../pyproject.toml",
        "/audit/app/static/%2e%2e/pyproject.toml",
        "/audit/app/static/..%2fpyproject.toml",
        "/audit/media/../files.secret",
        "/audit/component/../../etc/passwd",
        "/audit//etc/passwd",
        "//audit/",
        "/audit/../audit/media/x.png",
        "/sign-in/../audit/jobs",
    ],
)
def test_no_spelling_of_an_address_opens_a_file_or_a_page_without_a_sign_in(dashboard, path, everybody):
    nobody, qa = dashboard.get(path, None), dashboard.get(path, everybody["qa"])

    assert nobody.status_code in {400, 401, 403, 404}
    for one in (nobody, qa):
        assert "root:" not in one.text
        assert "[project]" not in one.text


def test_old_addresses_lead_to_the_new_ones_and_to_no_other_host(dashboard):
    led = {path: dashboard.get(path, None).headers.get("location") for path in ("/", "/audit", "/jobs?job=1")}

    assert led == {"/": "/audit/", "/audit": "/audit/", "/jobs?job=1": "/audit/jobs?job=1"}
    assert dashboard.get("/overview", None).status_code == 404


# ---- another web page --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://localhost.evil.example"]
)
def test_another_web_page_reads_nothing_and_opens_no_socket(dashboard, everybody, origin):
    qa = everybody["qa"]

    for path in ("/audit/", "/audit/_stcore/health", "/audit/app/static/inter-latin.woff2"):
        answer = dashboard.get(path, qa, origin=origin)
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
    with pytest.raises(InvalidStatus) as refused:
        connect(
            f"{dashboard.url.replace('http', 'ws')}/_stcore/stream",
            origin=origin,
            additional_headers=dashboard.headers(qa),
        )
    assert refused.value.response.status_code == 403


# ---- pages by role, over the socket ------------------------------------------------------------------------------

# What a page offers before anything is chosen, and to whom: deeds and files. Looking alone is offered to whoever reads.
OFFERED: Mapping[tuple[str, str], frozenset[str]] = {
    ("overview", "health_csv"): LOOKERS,
    ("jobs", "jobs_csv"): TEAM,
    ("autosave", "check_start"): REPAIRERS,
    ("autosave", "auto-save_csv"): TEAM,
    ("findings", "rows_check_now"): REPAIRERS,
    ("library", "library_scan_now"): REPAIRERS,
    ("library", "library-characters_csv"): LOOKERS,
    ("attributes", "make_missing"): MAKERS,
    ("attributes", "paper_html"): LOOKERS,
    ("attributes", "paper_pdf"): LOOKERS,
    ("attributes", "attribute-images_csv"): LOOKERS,
    ("qa", "qa_draw_now"): REPAIRERS,
    ("costs", "costs-by-provider_csv"): TEAM,
    ("costs", "models-compared_csv"): TEAM,
    ("activity", "activity_csv"): LOOKERS,
    ("system", "trial_begin"): TEAM,
    ("system", "schema-parts_csv"): LOOKERS,
    ("people", "find"): ADMIN,
    ("models", "add_model"): ADMIN,
    ("models", "models_csv"): LOOKERS,
    **{("providers", f"pause_{name}"): ADMIN for name in ("fal", "novita", "replicate", "runpod")},
    ("providers", "providers_csv"): LOOKERS,
    ("settings", "set_budget"): ADMIN,
    **{
        ("settings", f"set_days_{kind}"): ADMIN
        for kind in ("bin", "workspace", "history", "messages", "queue_log")
    },
}
# Pages that say whom they, or a part of them, are for, to whom they are not.
CLOSED: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(
        ("overview", "stuck", "findings", "library", "attributes", "qa", "costs", "activity"), EDITORS
    ),
    **dict.fromkeys(("models", "providers", "settings"), EDITORS),
    "people": TEAM - ADMIN,
}
NOT_FOR_THEM = re.compile(r"Not for this role|needs the qa")
LOOKING = re.compile(r"view_|count_|stuck_count_|example_|library_(?!scan_now)|at_|ask_|open_|.*_parquet$")
ROLES = ("editor", "qa", "product", "admin")  # one of each


def drawn(dashboard: Dashboard, person: Person | None, name: str, **address: str):
    with opened(dashboard.url, dashboard.headers(person)) as page:
        return page.draw(name, **address)


def test_a_socket_opens_to_the_team_alone(dashboard, everybody):
    told = {}
    for who in EVERYBODY:
        try:
            with opened(dashboard.url, dashboard.headers(everybody[who])):
                told[who] = "open"
        except InvalidStatus as error:
            told[who] = str(error.response.status_code)

    assert told == {who: "open" if who in TEAM else "403" for who in EVERYBODY}


def test_each_page_offers_deeds_and_files_by_role_or_says_whom_it_is_for(dashboard, everybody, count):
    seen = {(name, who): drawn(dashboard, everybody[who], name) for name in NAMES for who in ROLES}

    offered = {
        (name, key, who)
        for (name, who), one in seen.items()
        for key in (*one.buttons, *one.files)
        if not LOOKING.match(key)
    }
    assert offered == {
        (name, key, who) for (name, key), allowed in OFFERED.items() for who in allowed & set(ROLES)
    }
    closed = {(name, who) for (name, who), one in seen.items() if NOT_FOR_THEM.search(one.words)}
    assert closed == {(name, who) for name, whom in CLOSED.items() for who in whom & set(ROLES)}
    led = {(name, who) for who in ROLES for name in seen["jobs", who].ways}
    assert led == {(name, who) for name in NAMES for who in ROLES} - {
        (name, who)
        for name, who in closed
        if name != "costs"  # whose own part is for everybody
    }
    count(f"dashboard: {len(seen)} pages by role, {len(OFFERED) * len(ROLES)} cases of what they offer")


@pytest.mark.parametrize("who", sorted(TEAM))
def test_the_story_of_a_job_is_told_to_whoever_may_read_it(dashboard, everybody, world, who, count):
    work = world.work[OWNER]
    page = drawn(dashboard, everybody[who], "jobs", job=str(work.saved_job))

    may = who == OWNER or reads(who, "another's")
    assert (work.character.name in page.words) is may
    assert bool(page.pictures) is may
    assert ("job-costs_csv" in page.files) is may
    count("dashboard: 3 cases of a job's story")


# ---- pictures and files ------------------------------------------------------------------------------------------


def test_a_picture_opens_to_whoever_it_was_drawn_for_and_to_nobody_else(dashboard, everybody, world, count):
    job = str(world.work[OWNER].saved_job)
    with contextlib.ExitStack() as stack:
        pages = {
            who: stack.enter_context(opened(dashboard.url, dashboard.headers(everybody[who])))
            for who in (OWNER, "qa")
        }
        shown = {who: page.draw("jobs", job=job).pictures[0] for who, page in pages.items()}
        told = {
            (whose, who): dashboard.get(f"/audit{path}", everybody[who])
            for whose, path in shown.items()
            for who in EVERYBODY
        }

    refused = {NOBODY: 401, "customer": 403}
    assert {case: one.status_code for case, one in told.items()} == {
        (whose, who): 200 if who == whose else refused.get(who, 404) for whose in shown for who in EVERYBODY
    }
    assert told[OWNER, OWNER].content == told["qa", "qa"].content
    assert told[OWNER, OWNER].headers["cache-control"] == "no-store"
    count(f"dashboard: {len(told)} cases of a picture")


def test_a_file_is_made_for_whoever_asks_and_opens_to_them_alone(dashboard, everybody, world, count):
    with opened(dashboard.url, dashboard.headers(everybody["product"])) as page:
        placeholder = page.draw("library").files["library-characters_csv"]
        path = page.file(placeholder)
        told = {who: dashboard.get(f"/audit{path}", everybody[who]) for who in EVERYBODY}

    refused = {NOBODY: 401, "customer": 403}
    assert {who: one.status_code for who, one in told.items()} == {
        who: 200 if who == "product" else refused.get(who, 404) for who in EVERYBODY
    }
    assert world.work[OWNER].character.name in told["product"].text
    assert told["product"].headers["content-disposition"].startswith("attachment")
    count(f"dashboard: {len(told)} cases of a file")


def test_nobody_asks_for_a_file_by_the_name_another_page_has_for_it(dashboard, everybody):
    with (
        opened(dashboard.url, dashboard.headers(everybody["qa"])) as page,
        opened(dashboard.url, dashboard.headers(everybody["editor"])) as other,
    ):
        placeholder = page.draw("library").files["library-characters_csv"]
        other.draw("jobs")
        path = other.file(placeholder)

    assert path is None or dashboard.get(f"/audit{path}", everybody["editor"]).status_code == 404


# ---- a page that stays open --------------------------------------------------------------------------------------


def test_an_earlier_page_is_taken_up_by_its_own_person_alone(dashboard, everybody):
    headers = {who: dashboard.headers(everybody[who]) for who in ("qa", "product")}
    with opened(dashboard.url, headers["qa"]) as page:
        page.draw("jobs")
        name = page.name
    found = {}
    for who in ("product", "qa"):
        with opened(dashboard.url, headers[who], earlier=name) as page:
            page.draw("jobs")
            found[who] = page.name

    assert name
    assert found["product"] != name
    assert found["qa"] == name


def test_no_header_says_who_is_asking(dashboard, everybody):
    claims = {
        door.PAGE_OF: "1",
        "x-portrait-studio-socket": "1",
        "x-remote-user": "qa",
        "x-forwarded-user": "qa",
        "authorization": "Bearer qa",
    }
    assert dashboard.get("/audit/", None, **claims).status_code == 401
    with pytest.raises(InvalidStatus), opened(dashboard.url, claims):
        pass
    with opened(dashboard.url, dashboard.headers(everybody["editor"]) | claims) as page:
        assert "Not for this role" in page.draw("activity").words


def test_an_ended_session_and_a_taken_role_end_what_an_open_page_may_do_and_close_it_within_a_minute(
    dashboard, world, count
):
    leaver, changed = world.people["colleague"], world.people["product"]
    cookies = {person.name: signed_in(person, world.apart) for person in (leaver, changed)}
    headers = {name: {"Cookie": f"{sessions.COOKIE}={cookie}"} for name, cookie in cookies.items()}
    job = str(world.work["colleague"].saved_job)
    with (
        opened(dashboard.url, headers["colleague"]) as left,
        opened(dashboard.url, headers["product"]) as kept,
    ):
        before = left.draw("jobs", job=job)
        also = kept.draw("jobs", job=job)
        picture, file = also.pictures[0], also.files["job-costs_csv"]
        assert kept.file(file) is not None
        open_at_first = httpx.get(f"{dashboard.url}{picture}", headers=headers["product"], trust_env=False)

        sessions.end(cookies["colleague"], world.apart)
        sessions.roles_changed(changed.id, [Role.editor], world.apart)

        assert left.file(before.files["job-costs_csv"]) is None
        assert kept.file(file) is None
        after = left.draw("jobs", job=job)
        assert "You are signed out" in after.words
        assert world.work["colleague"].character.name not in after.words
        assert (after.buttons, after.pictures, after.files) == ({}, [], {})
        assert NOT_FOR_THEM.search(kept.draw("library").words)
        closed_to = httpx.get(f"{dashboard.url}{picture}", headers=headers["product"], trust_env=False)
        assert (open_at_first.status_code, closed_to.status_code) == (200, 404)
        assert [closed_with(page) for page in (left, kept)] == [sockets.SIGNED_OUT, sockets.ROLES_CHANGED]
    count("dashboard: 9 cases of a page that stayed open")


def closed_with(page: Page) -> int | None:
    """The code an open page is closed with; it has a minute."""
    until = time.monotonic() + 60
    with contextlib.suppress(TimeoutError):
        try:
            while True:
                page.socket.recv(timeout=until - time.monotonic())
        except ConnectionClosed as ended:
            return ended.rcvd.code if ended.rcvd else None
    return None
