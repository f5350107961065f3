"""Which browser the tests start, and that CI never passes without one."""

from types import SimpleNamespace

import pytest

from tests.screens.browser import find_browser

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
