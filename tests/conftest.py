"""What every test gets: the fixtures of the database, and a closed network."""

import contextlib
import gc
import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.supabase.given import given

# Every process a test starts would read our sources anew where nobody may keep what was read.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

pytest_plugins = [
    "tests.fix_database",
    "tests.fix_services",
    "tests.contracts.table",
    "tests.contracts.webhook_table",
    "tests.contracts.day_table",
    "tests.figures",
    "tests.supabase.fix_sign_in",
    "tests.secret_scan",
]

_OF_A_BROWSER = ("tests/screens/", "tests/e2e/")
# What is made once a process and takes long comes where the other tests that use it come: one process of xdist makes it
# then, and not each (docs/decisions/0048). Tests of the first are run after those of the second.
_AFTER = {
    "tests/screens/test_demo_world_pages.py": "tests/contracts/test_demo_world.py",
    "tests/e2e/test_accessibility.py": "tests/e2e/test_supabase_story.py",
}
_NEVER_RESOLVES = (".invalid", ".test", ".example")  # reserved (RFC 6761, RFC 2606)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What gathering the tests leaves in memory stays to the end: Python need not look through its million objects for
    rubbish time and again (docs/decisions/0048).
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that share something costly stand together (docs/decisions/0048). In CI a browser test is tried once more, and
    named (0024); of the same test in light and in dark it takes the light one (0029; SOAK=1: both).
    """
    _bring_together(items)
    if os.environ.get("CI"):
        if not os.environ.get("SOAK"):
            _leave_out_doubles(config, items)
        for item in items:
            if item.nodeid.startswith(_OF_A_BROWSER):
                item.add_marker(pytest.mark.flaky(reruns=1))


def _bring_together(items: list[pytest.Item]) -> None:
    files = {file: [] for file in dict.fromkeys(_file_of(item) for item in items)}
    for item in items:
        files[_file_of(item)].append(item)
    for later, earlier in _AFTER.items():
        if later in files and earlier in files:
            files[earlier] += files.pop(later)
    items[:] = [item for those in files.values() for item in those]


def _file_of(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _leave_out_doubles(config: pytest.Config, items: list[pytest.Item]) -> None:
    names = {item.nodeid for item in items}
    doubles = [
        item
        for item in items
        if item.nodeid.startswith(_OF_A_BROWSER)
        and "dark" in item.name
        and item.nodeid.replace("dark", "light") in names
    ]
    config.hook.pytest_deselected(items=doubles)
    items[:] = [item for item in items if item not in doubles]


class NetworkUsed(BaseException):
    """A test reached for a host beyond this machine. No `except Exception` of the product hides it."""


class Guard:
    """Watches every connection of this process while `tried` is a list."""

    tried: list[str] | None = None

    def refuse(self, host: str) -> None:
        if self.tried is not None and not given():  # whoever names a real project means it to be reached
            self.tried.append(host)
            raise NetworkUsed(f"This test reached for {host!r}; tests stay on this machine.")

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event in {"socket.connect", "socket.sendto"}:
            address = args[1]
            if isinstance(address, tuple) and not is_local(str(address[0])):
                self.refuse(str(address[0]))
        elif event == "socket.getaddrinfo" and self.tried is not None:
            self._look_at_name(args[0])

    def _look_at_name(self, host: str | bytes | None) -> None:
        name = host.decode() if isinstance(host, bytes) else host or ""
        if name.endswith(_NEVER_RESOLVES):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if not is_local(name) and not _is_address(name):
            self.refuse(name)


def is_local(host: str) -> bool:
    """True for this machine: its sockets in folders, its loopback, its own name."""
    if host.startswith(("/", "@")) or host in {"", "localhost", "0.0.0.0", "::", socket.gethostname()}:  # noqa: S104
        return True
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host.partition("%")[0])
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
    return host.endswith(".localhost")


def _is_address(host: str) -> bool:
    """A number needs no name server; connecting to it is looked at by itself."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


guard = Guard()
sys.addaudithook(guard)  # sees what libraries in C do with Python's sockets too; it cannot be removed again


@pytest.fixture(autouse=True)
def closed_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test that reaches beyond loopback and sockets in folders, even where the product hides it."""
    guard.tried = tried = []
    connect = psycopg.Connection.connect

    def connect_here(conninfo: str = "", **kwargs: Any) -> psycopg.Connection[Any]:
        named = conninfo_to_dict(conninfo, **_named(kwargs))
        hosts = f"{named.get('host') or ''},{named.get('hostaddr') or ''}"
        for host in hosts.split(","):  # libpq opens its connections where Python does not see it
            if not is_local(host):
                guard.refuse(host)
        return connect(conninfo, **kwargs)

    monkeypatch.setattr(psycopg.Connection, "connect", staticmethod(connect_here))
    monkeypatch.setattr(psycopg, "connect", connect_here)
    yield
    guard.tried = None
    assert tried == [], f"This test reached for {tried}; tests stay on this machine."


def _named(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in kwargs.items()
        if name in {"host", "hostaddr", "port", "dbname", "user"}
    }
