"""Which browser the tests start, and that CI never passes without one."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from playwright.sync_api import Browser

from tests.screens.browser import find_browser, usual_port, visit

NONE_OF_ITS_OWN = SimpleNamespace(chromium=SimpleNamespace(executable_path="/nowhere/chrome"))


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path) -> pytest.MonkeyPatch:
    """A machine without any browser."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("STUDIO_BROWSER", raising=False)
    monkeypatch.delenv("CI", raising=False)
    return monkeypatch


def test_the_named_browser_goes_first(bare: pytest.MonkeyPatch):
    bare.setenv("STUDIO_BROWSER", "/opt/my/chrome")

    assert find_browser(NONE_OF_ITS_OWN) == "/opt/my/chrome"


def test_the_systems_browser_goes_before_playwrights(bare: pytest.MonkeyPatch, tmp_path):
    program = tmp_path / "chromium"
    program.touch(mode=0o755)

    assert find_browser(NONE_OF_ITS_OWN) == str(program)


@pytest.mark.parametrize("ci", ["true", ""])
def test_without_a_browser_a_test_of_the_screens_fails(bare: pytest.MonkeyPatch, ci):
    bare.setenv("CI", ci)

    with pytest.raises(pytest.fail.Exception, match="Install chromium"):
        find_browser(NONE_OF_ITS_OWN)


class Blank(BaseHTTPRequestHandler):
    """An empty page at every address."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def blank() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", usual_port("blank")), Blank) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


LEAVE = """async () => {
  document.cookie = "left=1; max-age=1000";
  localStorage.left = sessionStorage.left = "1";
  await (await caches.open("left")).put("/left", new Response("1"));
  await new Promise((done) => (indexedDB.open("left").onsuccess = done));
}"""
FOUND = """async () => ({
  cookies: document.cookie, local: localStorage.length, session: sessionStorage.length,
  caches: (await caches.keys()).length, databases: (await indexedDB.databases()).length,
})"""
NOTHING = {"cookies": "", "local": 0, "session": 0, "caches": 0, "databases": 0}


def test_a_window_finds_nothing_of_the_one_before(browser: Browser, blank: str):
    with visit(browser, blank) as first:
        first.page.context.route("**/away", lambda route: route.abort())
        first.page.evaluate(LEAVE)
        assert first.page.evaluate(FOUND) != NOTHING
        kept = first.page.context

    with visit(browser, blank) as second:
        assert second.page.context is kept
        assert second.page.evaluate(FOUND) == NOTHING
        assert second.page.evaluate("fetch('/away').then(answer => answer.status)") == 200
        assert len(kept.pages) == 2


def test_a_window_beside_another_shares_nothing_with_it(browser: Browser, blank: str):
    with visit(browser, blank) as first, visit(browser, blank) as second:
        first.page.evaluate(LEAVE)

        assert second.page.context is not first.page.context
        assert second.page.evaluate(FOUND) == NOTHING


def test_each_window_is_dressed_anew(browser: Browser, blank: str):
    look = "[innerWidth, matchMedia('(prefers-color-scheme: dark)').matches, matchMedia('(prefers-reduced-motion: reduce)').matches]"
    small = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "reduced_motion": "reduce"}
    with visit(browser, blank, **small) as first:
        assert first.page.evaluate(look) == [390, True, True]

    with visit(browser, blank) as second:
        assert second.page.evaluate(look) == [1440, False, False]
