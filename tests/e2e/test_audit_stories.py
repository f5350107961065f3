"""The dashboard at work: what QA and product people do with it all day, in a real Chromium over the demo world (issue 5,
"It must show" 2).

The world is made once a worker; every story gets a copy of its database and of its files. Each story is seen at one of
two widths in one of two themes, all four equally often, and may neither complain in the console nor ask anybody outside.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright

from core import demo, worker
from core.auth import LOCAL_PERSON
from core.demo.manifest import Planted, World
from core.services import Services
from core.settings import Settings
from tests import builders, fix_services
from tests.fix_database import Server, Servers
from tests.screens.browser import Watch, launched, room
from tests.screens.dashboard import answers, settled, standing

# The first story of a worker makes the world.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SLOW = 30_000  # milliseconds for what a busy machine draws late
# Streamlit asks for these two below a deep address first, and finds them at the root then.
_STREAMLITS_OWN = re.compile(r"/\w+/_stcore/(health|host-config)$")


@dataclass(frozen=True)
class Look:
    """A window and a theme."""

    width: int
    height: int
    theme: str

    def __str__(self) -> str:
        return f"{self.width}-{self.theme}"


WIDE_LIGHT, WIDE_DARK = Look(1440, 900, "light"), Look(1440, 900, "dark")
SMALL_LIGHT, SMALL_DARK = Look(1024, 768, "light"), Look(1024, 768, "dark")


def seen_at(look: Look) -> pytest.MarkDecorator:
    """The story is told at this window and theme."""
    return pytest.mark.parametrize("look", [look], ids=str)


# -- the world --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """A database that holds the demo world, to be cloned, and its files."""

    server: Server
    name: str
    folder: Path
    world: World


PATIENT = {"stuck_after": 600.0, "heartbeat_seconds": 200.0, "autosave_delay": 300.0, "team_sharing": True}


@contextmanager
def services_on(dsn: str, folder: Path) -> Generator[Services]:
    settings = Settings(_env_file=None, **(fix_services.FAST | PATIENT | {"studio_home": folder}))
    with fix_services._opened(dsn, settings, ("sketch",), "http://127.0.0.1:9") as found:
        yield found


@pytest.fixture(scope="session")
def made(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    server = servers.get("embedded")
    folder = tmp_path_factory.mktemp("demo")
    with server.database(servers.template(server)) as dsn:
        with services_on(dsn, folder) as services:
            world = demo.make(services)
        yield Made(server, dsn.rpartition("/")[2].partition("?")[0], folder, world)


@pytest.fixture
def world(made: Made) -> World:
    return made.world


@pytest.fixture
def home(made: Made, tmp_path: Path) -> Path:
    return shutil.copytree(made.folder, tmp_path / "home")


@pytest.fixture
def dsn(made: Made) -> Iterator[str]:
    with made.server.database(made.name) as address:
        yield address


@pytest.fixture
def services(dsn: str, home: Path) -> Iterator[Services]:
    """The demo world, for this story to change."""
    with services_on(dsn, home) as found:
        yield found


@pytest.fixture
def url(services: Services, dsn: str, home: Path, eventually: Callable[..., None]) -> Iterator[str]:
    """The dashboard over this story's world."""
    with standing(home, DATABASE_URL=dsn, TEAM_SHARING="true", SKETCH_SECONDS="0") as address:
        eventually(lambda: answers(address), seconds=60)
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright, launched(playwright) as started:
        yield started


@contextmanager
def sitting(browser: Browser, url: str, look: Look) -> Generator[Page]:
    """A person's window on the dashboard; ends with what it complained about and whom it asked."""
    watch, window = (
        Watch(),
        {"viewport": {"width": look.width, "height": look.height}, "color_scheme": look.theme},
    )
    with room(browser, url, **window) as (_, page):
        page.on("request", watch.see)
        page.on("pageerror", lambda error: watch.complaints.append(str(error)))
        page.on("console", lambda message: _hear(message, watch))
        page.set_default_timeout(20_000)
        page.goto(url, timeout=60_000)
        expect(page.get_by_test_id("stHeading").or_(page.locator("h1")).first).to_be_visible(timeout=90_000)
        settled(page)
        yield page
    assert watch.complaints == []
    assert watch.outside == []


def _hear(message: ConsoleMessage, watch: Watch) -> None:
    address = str(message.location.get("url", ""))
    if message.type == "error" and not (_STREAMLITS_OWN.search(address) and "404" in message.text):
        watch.complaints.append(f"{message.text} ({address})")


@pytest.fixture
def page(browser: Browser, url: str, look: Look) -> Iterator[Page]:
    """A window on the overview, that stands still."""
    with sitting(browser, f"{url}/?live=false", look) as found:
        yield found


def go(page: Page, path: str) -> None:
    """Follow a link that somebody sent."""
    address = re.match(r"https?://[^/]+", page.url)
    assert address is not None
    page.goto(f"{address[0]}/{path}{'&' if '?' in path else '?'}live=false", timeout=60_000)
    settled(page)


def grid(page: Page) -> Locator:
    """The list in the middle of the page: the lowest one, below reports."""
    return page.get_by_test_id("stDataFrame").last


def tick(page: Page, row: int, *, height: int = 35) -> None:
    """A click on the box before a row."""
    _click(page, 18, row, height)


def open_row(page: Page, row: int, *, height: int = 35) -> None:
    """A click on a row itself."""
    _click(page, 120, row, height)


def _click(page: Page, across: int, row: int, height: int) -> None:
    settled(page)
    grid(page).scroll_into_view_if_needed()
    box = grid(page).bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + across, box["y"] + 36 + row * height + height / 2)
    settled(page)


def agree(page: Page, name: str | re.Pattern[str], *, why: str) -> None:
    """Answer the question before a bulk action."""
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why?").fill(why)
    dialog.get_by_label("Why?").press("Tab")
    dialog.get_by_role("button", name=name).click()


def planted(world: World, code: str) -> Planted:
    return next(one for one in world.planted if one.code == code)


def saved_file(page: Page, button: Locator) -> bytes:
    with page.expect_download(timeout=SLOW) as coming:
        button.click()
    return Path(coming.value.path()).read_bytes()


# -- health -----------------------------------------------------------------------------------------------------------


@seen_at(WIDE_LIGHT)
def test_from_the_overview_alone_a_person_knows_what_is_wrong_first_and_goes_to_where_it_is_mended(
    page, look
):
    expect(page.get_by_text("First: paid pictures may be lost.")).to_be_visible(timeout=SLOW)
    worst = page.locator(".ov-list li").first
    expect(worst).to_contain_text("2 paid results are not with us yet")
    expect(worst).to_contain_text("Stuck jobs")

    worst.get_by_role("link").click()

    expect(page.get_by_role("heading", name="Stuck jobs")).to_be_visible(timeout=SLOW)
    expect(page.get_by_text("2 jobs shown")).to_be_visible()
    assert "what=at_risk" in page.url


FAILED = """
    SELECT j.id FROM public.jobs j WHERE j.status = 'failed' AND j.runner = 'studio' AND j.error_code = 'CONTENT_REFUSED'
      AND (j.metadata ->> 'destination') = 'character_portrait' AND NOT EXISTS (SELECT FROM public.jobs r WHERE r.retried_from = j.id)
    ORDER BY j.created_at DESC LIMIT 1
"""


@seen_at(WIDE_DARK)
def test_a_link_to_a_failed_job_tells_its_story_and_another_model_is_tried(page, services, look):
    failed = builders.one(services.db, FAILED)
    go(page, f"jobs?job={failed}")
    expect(page.get_by_text("CONTENT_REFUSED").first).to_be_visible(timeout=SLOW)
    expect(page.get_by_text("Asked for", exact=True).first).to_be_visible()

    page.get_by_role("button", name="Another model").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name=re.compile("Sketch")).first.click()
    dialog.get_by_role("button", name="Ask for it").click()

    expect(page.get_by_text("Another model is asked: this is the new job.")).to_be_visible()
    again = builders.one(services.db, "SELECT id FROM public.jobs WHERE retried_from = %s", [failed])
    assert str(again) in page.url
    builders.work(services)
    page.reload()
    expect(page.get_by_text("In the library, as a portrait.")).to_be_visible(timeout=SLOW)


@seen_at(SMALL_LIGHT)
def test_a_filter_is_typed_completed_mended_kept_and_opened_by_its_address_elsewhere(
    browser, url, page, look
):
    go(page, "jobs")
    box = page.get_by_role("textbox", name="Find jobs")
    box.fill("status:fai")
    page.locator(".st-key-offered").get_by_role("button", name="failed").first.click()
    expect(box).to_have_value(re.compile(r"^status:failed ?$"))

    box.fill("status:failed provder:fal")
    expect(page.get_by_text("Nothing is listed until this can be read")).to_be_visible()
    expect(page.get_by_test_id("stDataFrame")).to_have_count(0)
    page.get_by_role("button", name="Did you mean provider?").click()
    expect(box).to_have_value("status:failed provider:fal")
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()

    settled(page)
    page.get_by_role("button", name="Views").click()
    page.get_by_label("Keep what is shown as").fill("Failures at fal")
    page.get_by_label("Keep what is shown as").press("Tab")
    page.get_by_role("button", name="Keep this view").click()
    expect(page.get_by_text("The view is kept.")).to_be_visible()
    settled(page)
    rows = page.get_by_text(re.compile(r"^\d+ jobs?, ")).inner_text()
    address = page.url
    with sitting(browser, address, WIDE_DARK) as other:
        expect(other.get_by_role("textbox", name="Find jobs")).to_have_value(
            "status:failed provider:fal", timeout=SLOW
        )
        expect(other.get_by_text(rows)).to_be_visible()
        expect(other.get_by_role("button", name="View: Failures at fal")).to_be_visible()


@seen_at(SMALL_DARK)
def test_the_causes_of_failure_lead_to_the_jobs_of_one_cause(page, services, look):
    go(page, "jobs")
    page.get_by_role("radio", name="Causes of failure").click()
    expect(page.get_by_text(re.compile(r"\d+ causes.*failed jobs"))).to_be_visible()
    first = page.locator(".au-cause").first
    often = int(first.locator("b").first.inner_text().strip("×"))

    page.get_by_role("button", name="Show these jobs").first.click()

    expect(page.get_by_role("textbox", name="Find jobs")).not_to_have_value("")
    many = "1 job," if often == 1 else f"{often} jobs,"
    expect(page.get_by_text(many)).to_be_visible()


@seen_at(WIDE_LIGHT)
def test_a_stuck_job_is_read_recovered_and_gone(page, world, services, look):
    go(page, "stuck?what=left")
    expect(page.get_by_text("1 job shown")).to_be_visible(timeout=SLOW)
    tick(page, 0, height=66)
    expect(
        page.get_by_text("The job failed or was cancelled, and its picture is here all the same.")
    ).to_be_visible()

    page.get_by_role("button", name="Recover 1 ticked").click()
    expect(page.get_by_role("dialog").locator(".au-sample li")).to_have_count(1)
    agree(page, re.compile("1 job"), why="Its picture is paid for.")

    expect(page.get_by_text("1 of 1, 1 done")).to_be_visible(timeout=SLOW)
    expect(page.get_by_text("No job fits")).to_be_visible(timeout=SLOW)
    why = "SELECT why FROM studio.bulk_actions WHERE kind = 'recover'"
    assert builders.one(services.db, why) == "Its picture is paid for."


@seen_at(SMALL_DARK)
def test_purging_spares_the_job_whose_picture_is_here_and_says_why(page, services, look):
    go(page, "stuck?what=left")
    page.get_by_role("button", name="Purge all 1 shown").click(timeout=SLOW)
    refused = page.get_by_role("dialog").locator(".au-refusals")
    expect(refused).to_contain_text("1 of these will be left as it is")
    agree(page, re.compile("1 job"), why="Tidying up.")

    expect(page.get_by_text("1 of 1, 0 done, 1 refused")).to_be_visible(timeout=SLOW)
    page.get_by_text("What became of each row").click()
    expect(page.get_by_text("1 job shown")).to_be_visible()
    assert (
        builders.rows(
            services.db, "SELECT FROM public.jobs WHERE error_code = 'PURGED' AND heartbeat_at > now()"
        )
        == []
    )
    told = builders.one(services.db, "SELECT sentence FROM studio.bulk_items")
    assert told


@seen_at(SMALL_LIGHT)
def test_an_unknown_outcome_is_looked_up_and_settled_by_a_person(page, world, services, look):
    lost = planted(world, "stuck.outcome_unknown").job
    go(page, "stuck?what=unknown")
    tick(page, 0, height=66)
    page.get_by_role("button", name="Settle").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("in its list of requests or of charges")).to_be_visible()
    dialog.get_by_text("No, it was not billed").click()
    dialog.get_by_label("What did you find?").fill("fal knows no such request.")
    dialog.get_by_role("button", name="Settle").click()

    expect(page.get_by_text("The outcome is settled.")).to_be_visible()
    expect(page.get_by_text("No job fits")).to_be_visible(timeout=SLOW)
    settled_as = builders.one(services.db, "SELECT status, error_code FROM public.jobs WHERE id = %s", [lost])
    assert settled_as == ("failed", "GIVEN_UP")
    assert builders.rows(
        services.db,
        "SELECT amount_usd FROM studio.cost_entries WHERE job_id = %s AND kind = 'computed'",
        [lost],
    ) == [(Decimal(0),)]


# -- auto-save, findings, library ---------------------------------------------------------------------------------------


@seen_at(WIDE_DARK)
def test_all_portraits_of_one_reason_are_repaired_and_healthy_at_the_re_check(page, services, look):
    go(page, "autosave")
    group = page.locator(".st-key-reason_no_library_row")
    expect(group).to_be_visible(timeout=SLOW)
    expect(group).to_contain_text("It was never recorded in the library.")
    group.get_by_role("button", name="Repair 3").click()
    expect(page.get_by_role("dialog").locator(".au-sample li")).to_have_count(3)
    agree(page, re.compile("3 portraits"), why="Their saving was lost.")
    expect(page.get_by_text("3 of 3, 3 done")).to_be_visible(timeout=60_000)

    builders.work(services)
    go(page, "autosave")
    page.get_by_role("button", name="Check now").click()
    settled(page)
    builders.work(services)
    page.reload()

    expect(page.get_by_text("portraits are broken.")).to_be_visible(timeout=SLOW)
    expect(page.get_by_text("It was never recorded in the library.")).to_have_count(0)
    left = "SELECT count(*) FROM studio.proof_results WHERE row_codes @> ARRAY['NO_LIBRARY_ROW']"
    assert builders.one(services.db, left) == 0


@seen_at(WIDE_LIGHT)
def test_one_portrait_s_seven_checks_name_the_broken_link_and_its_repair_heals_it(
    page, world, services, look
):
    broken = planted(world, "autosave.OBJECT_MISSING").job
    go(page, f"autosave?job={broken}")
    expect(page.get_by_text("Broken at 4, library file.")).to_be_visible(timeout=SLOW)
    expect(page.locator(".au-seven li")).to_have_count(7)
    expect(page.locator(".au-seven li[data-outcome=failed]")).to_contain_text("4 · Library file")

    page.get_by_role("button", name="Repair").click()

    expect(page.get_by_text("Mended: library file missing.")).to_be_visible(timeout=SLOW)
    expect(page.locator(".au-seven li[data-outcome=failed]")).to_have_count(0)
    expect(page.get_by_text("Last repaired by you")).to_be_visible()


@seen_at(WIDE_DARK)
def test_a_finding_is_taken_over_and_another_is_set_aside_with_a_reason(page, world, services, look):
    taken, spared = builders.rows(
        services.db,
        "SELECT id FROM studio.findings WHERE rule = 'library.corrupt' OR rule = 'library.blank' ORDER BY id LIMIT 2",
    )
    go(page, f"findings?finding={taken[0]}")
    page.get_by_role("button", name="Take").click(timeout=SLOW)
    expect(page.get_by_text("1 finding is yours.")).to_be_visible()
    page.get_by_role("button", name="All findings").click()
    expect(page.get_by_role("heading", name="Findings", exact=True)).to_be_visible()

    go(page, f"findings?finding={spared[0]}")
    page.get_by_role("button", name="Set aside").click(timeout=SLOW)
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Set aside").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    dialog.get_by_label("Why is it right?").fill("A white page is what was asked for.")
    dialog.get_by_role("button", name="Set aside").click()

    expect(page.get_by_text("1 finding is set aside.")).to_be_visible()
    state = "SELECT owner, set_aside_why FROM studio.findings WHERE id = %s"
    assert builders.one(services.db, state, taken) == (LOCAL_PERSON.id, None)
    assert builders.one(services.db, state, spared)[1] == "A white page is what was asked for."


@seen_at(SMALL_LIGHT)
def test_two_alike_are_seen_side_by_side_and_both_are_kept(page, services, look):
    go(page, "library?section=twice")
    pair = page.locator("[class*=st-key-library_pair_]").first
    pictures = pair.get_by_test_id("stImage").locator("img")
    expect(pictures).to_have_count(2, timeout=SLOW)
    for picture in pictures.all():
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("image => image.naturalWidth") > 100
    before = page.locator("[class*=st-key-library_pair_]").count()

    pair.get_by_role("button", name="Keep both").click()
    agree(page, re.compile("1 finding"), why="Two takes of one scene.")

    expect(page.get_by_text("1 of 1, 1 done")).to_be_visible(timeout=SLOW)
    expect(page.locator("[class*=st-key-library_pair_]")).to_have_count(before - 1)


@seen_at(SMALL_DARK)
def test_a_missing_thumbnail_is_made_again_and_what_cannot_be_is_left_with_its_reason(page, services, look):
    go(page, "library?section=thumbnails")
    page.get_by_role("button", name="Repair: all 2 shown").click(timeout=SLOW)
    agree(page, "Repair 2 findings", why="Their tiles are empty.")

    expect(page.get_by_text("2 of 2, 1 done, 1 refused.")).to_be_visible(timeout=SLOW)
    expect(page.get_by_text("1 finding shown")).to_be_visible(timeout=SLOW)
    told = builders.rows(services.db, "SELECT why FROM studio.audit_events WHERE action = 'library_mended'")
    assert told == [("Their tiles are empty.",)]
    assert builders.one(services.db, "SELECT sentence FROM studio.bulk_items WHERE state = 'refused'")


# -- attribute images ---------------------------------------------------------------------------------------------------

REVIEWS = """
    SELECT after ->> 'review', why FROM studio.audit_events WHERE action = 'attribute_image_reviewed'
      AND at > now() - interval '10 minutes' AND who = %s ORDER BY id
"""


@seen_at(SMALL_LIGHT)
def test_attribute_images_are_judged_with_the_keyboard_alone(page, services, look):
    go(page, "attributes")
    tab_to(page, page.get_by_role("button", name=re.compile(r"^Review \d+")))
    page.keyboard.press("Enter")
    title = page.locator(".au-head h1")
    expect(title).to_be_visible()
    shown = [judge(page, title, "a")]
    tab_to(page, page.get_by_label("Note"))
    page.keyboard.type("The light comes from below.")
    page.keyboard.press("Tab")
    settled(page)
    shown.append(judge(page, title, "x"))
    page.keyboard.press("u")

    expect(title).to_have_text(shown[1])
    settled(page)
    told = [tuple(row) for row in builders.rows(services.db, REVIEWS, [LOCAL_PERSON.id])]
    assert [status for status, _ in told] == ["approved", "rejected", "pending"]
    assert told[1][1] == "The light comes from below."


def tab_to(page: Page, target: Locator) -> None:
    """Go to a button or a box as somebody without a mouse does."""
    expect(target).to_be_visible(timeout=SLOW)
    settled(page)
    for _ in range(80):
        if target.evaluate(
            "part => part === document.activeElement || part.contains(document.activeElement)"
        ):
            return
        page.keyboard.press("Tab")
    pytest.fail("The keyboard does not lead there.")


def judge(page: Page, title: Locator, key: str) -> str:
    """Press a key, and wait for the next picture; the title of the one that was judged."""
    settled(page)
    judged = title.inner_text()
    page.keyboard.press(key)
    expect(title).not_to_have_text(judged)
    settled(page)
    return judged


@seen_at(WIDE_DARK)
def test_what_is_missing_is_made_for_at_most_a_dollar(page, services, look):
    go(page, "attributes")
    expect(page.get_by_role("button", name="Review 10")).to_be_visible(timeout=SLOW)
    page.get_by_role("button", name="Make 7 missing").click()
    dialog = page.get_by_role("dialog")
    limit = dialog.get_by_label("Spend at most, in dollars")
    limit.fill("1")
    limit.press("Enter")
    expect(dialog.get_by_text("Together")).to_be_visible()
    dialog.get_by_role("button", name="Make 7").click()

    expect(page.get_by_text("7 asked for.")).to_be_visible(timeout=SLOW)
    limit_of_run = "SELECT limit_usd FROM studio.attribute_runs ORDER BY asked_at DESC LIMIT 1"
    assert builders.one(services.db, limit_of_run) == Decimal(1)
    builders.work(services)
    go(page, "attributes")
    expect(page.get_by_role("button", name="Review 17")).to_be_visible(timeout=SLOW)
    expect(page.get_by_role("button", name="Latina / Latino, Realistic: To review")).to_be_attached()


@seen_at(SMALL_DARK)
def test_a_value_is_added_without_code_and_stands_in_the_matrix(page, services, look):
    go(page, "attributes?view=Values+and+styles")
    page.get_by_role("textbox", name="Name", exact=True).fill("90s", timeout=SLOW)
    page.get_by_role("textbox", name="Words for the picture").fill("an adult in their nineties, white hair")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("90s is added to age.")).to_be_visible()
    settled(page)

    page.get_by_role("radio", name="Images", exact=True).click()

    expect(page.get_by_role("button", name="90s, Realistic: Missing")).to_be_attached()
    expect(page.get_by_role("button", name="90s, Anime: Missing")).to_be_attached()
    expect(page.get_by_role("button", name="Make 9 missing")).to_be_visible()


@seen_at(WIDE_LIGHT)
def test_the_contact_sheet_is_taken_away_as_a_page_and_as_a_pdf(page, look):
    go(page, "attributes")
    page.get_by_role("button", name="Export").click(timeout=SLOW)

    sheet = saved_file(page, page.get_by_role("button", name="HTML", exact=True)).decode()
    paper = saved_file(page, page.get_by_role("button", name="PDF", exact=True))

    assert sheet.startswith("<!doctype html>")
    assert sheet.count("data:image/") >= 30
    assert "http" not in re.sub(r"data:image/[^\"')]+", "", sheet).replace("http-equiv", "")
    assert paper.startswith(b"%PDF-1.4")


# -- judging, money, the record, the system -------------------------------------------------------------------------------


@seen_at(WIDE_DARK)
def test_what_providers_cost_is_read_and_taken_away_as_two_files_that_agree(page, look):
    go(page, "costs?span=All+time")
    page.get_by_role("radio", name="Provider").click(timeout=SLOW)
    settled(page)

    text = saved_file(page, page.get_by_role("button", name="CSV", exact=True).first).decode("utf-8-sig")
    frame = pd.read_parquet(
        io.BytesIO(saved_file(page, page.get_by_role("button", name="Parquet", exact=True).first))
    )

    lines = list(csv.DictReader(io.StringIO(text)))
    assert len(lines) == len(frame) >= 4
    assert list(lines[0]) == list(frame.columns)
    assert [line["provider"] for line in lines] == list(frame["provider"])
    known = {"": None, "unknown": None}
    in_text = [known.get(line["spent_usd"], line["spent_usd"]) for line in lines]
    assert [amount and Decimal(amount) for amount in in_text] == list(frame["spent_usd"].astype(object))


@seen_at(SMALL_LIGHT)
def test_a_sample_is_judged_with_the_keyboard_and_its_agreement_read(page, services, look):
    go(page, "qa")
    page.get_by_role("button", name="Judge").click(timeout=SLOW)
    expect(page.get_by_text("You have judged 0 of 25")).to_be_visible()
    for number, key in enumerate(("1", "2", "3", "1", "1"), 1):
        settled(page)
        page.keyboard.press(key)
        expect(page.get_by_text(f"You have judged {number} of 25")).to_be_visible()
    settled(page)

    page.get_by_role("radio", name="Result").click()

    expect(page.get_by_text(re.compile("agree", re.IGNORECASE)).first).to_be_visible()
    mine = "SELECT verdict FROM studio.qa_verdicts WHERE person = %s"
    assert Counter(row[0] for row in builders.rows(services.db, mine, [LOCAL_PERSON.id])) == {
        "good": 3,
        "acceptable": 1,
        "bad": 1,
    }


@seen_at(WIDE_LIGHT)
def test_the_record_names_who_made_the_repair_just_now_and_what_it_changed(page, world, look):
    broken = planted(world, "autosave.WRONG_TAGS").job
    go(page, f"autosave?job={broken}")
    page.get_by_role("button", name="Repair").click(timeout=SLOW)
    expect(page.get_by_text("Mended:")).to_be_visible(timeout=SLOW)

    go(page, "activity")

    newest = page.locator(".au-event").first
    expect(newest).to_contain_text("You", timeout=SLOW)
    expect(newest).to_contain_text(broken[:8])
    expect(newest.locator("ins").first).to_be_attached()


@seen_at(SMALL_DARK)
def test_a_test_portrait_goes_all_the_way_and_out_of_the_way_again(page, services, look):
    go(page, "system")
    before = builders.one(services.db, "SELECT count(*) FROM public.user_library WHERE deleted_at IS NULL")
    page.get_by_role("button", name="Make one").click(timeout=SLOW)
    expect(page.get_by_text("No worker is running")).to_be_visible(timeout=SLOW)
    with worker.in_thread(services):
        expect(page.get_by_text("Everything works.")).to_be_visible(timeout=90_000)
    services.stopping.clear()

    expect(page.locator(".sy-steps li").first).to_be_visible()
    trials = "SELECT count(*) FROM public.user_library WHERE deleted_at IS NULL"
    assert builders.one(services.db, trials) >= before


def test_every_window_and_theme_sees_as_many_stories():
    told = [
        str(mark.args[1][0])
        for each in globals().values()
        if callable(each)
        for mark in getattr(each, "pytestmark", [])
        if mark.name == "parametrize" and mark.args[0] == "look"
    ]

    assert Counter(told) == {str(one): 5 for one in (WIDE_LIGHT, WIDE_DARK, SMALL_LIGHT, SMALL_DARK)}
