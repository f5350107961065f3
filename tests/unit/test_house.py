"""The tree itself: what DESIGN says of it, held by a test where no tool of the shelf holds it."""

import ast
import fnmatch
import os
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("core", "studio", "audit")
ROOMS = (
    *("core/catalog", "core/providers", "core/storage", "core/db", "studio", "supabase/migrations", "bench"),
    *("tests/unit", "tests/contracts", "tests/database", "tests/chaos", "tests/emulator", "docs/decisions"),
    *(
        "studio_app.py",
        "pyproject.toml",
        "Makefile",
        ".ci/run",
        "Dockerfile",
        ".dockerignore",
        "compose.yaml",
    ),
    *("requirements.in", "requirements.txt", "requirements-dev.txt", "README.md", "CHANGELOG.md"),
)
# core/*.py as DESIGN's tree names them; a further one says in docs/decisions why it is there.
DESIGNED = """
    settings services errors values policy routing prompts generation autosave recovery characters portraits
    scenes references library suggestions cards metadata attributes budgets findings admin privacy images
    downloads auth queue worker events api cli demo log __init__ __main__
"""
SECTIONS = ("Context", "Decision", "What follows", "What else was weighed", "What checks it")
# Written in pieces, so that this file does not find itself.
MACHINES = tuple("/" + path for path in ("work/", "farm/", "root/", "opt/wheels", "opt/pypi", "tmp/studio"))
REGISTRIES = (
    "pypi" + ".org",
    "python" + "hosted.org",
    "registry." + "npmjs",
    "index" + "-url",
    "find" + "-links",
)
LATER = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "Not" + "ImplementedError")))
STATEMENT = re.compile(r"\s*(SELECT\s|INSERT INTO\s|UPDATE\s+\S+\s+SET\s|DELETE FROM\s|LISTEN\s|NOTIFY\s)")


def files(*endings: str) -> Iterator[Path]:
    """Every file of the repository, without what .gitignore leaves out."""
    ignored = [".git", *((ROOT / ".gitignore").read_text().replace("/\n", "\n").split())]
    for folder, below, names in os.walk(ROOT):
        below[:] = kept(below, ignored)
        for name in kept(names, ignored):
            path = Path(folder, name)
            if not endings or path.suffix in endings:
                yield path


def kept(names: list[str], ignored: list[str]) -> list[str]:
    return [name for name in names if not any(fnmatch.fnmatch(name, rule) for rule in ignored)]


def texts() -> Iterator[tuple[str, str]]:
    """Name and text of every file that is text."""
    for path in files():
        data = path.read_bytes()
        if b"\0" not in data[:8000]:
            yield str(path.relative_to(ROOT)), data.decode()


def modules(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    """Name and syntax of every module of the product below `folders`."""
    for path in files(".py"):
        name = path.relative_to(ROOT)
        if name.parts[0] in folders:
            yield str(name), ast.parse(path.read_text())


def rules() -> dict[str, dict[str, object]]:
    """import-linter's contracts by name."""
    said = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return {"roots": said} | {one["name"]: one for one in said["contracts"]}


@pytest.mark.parametrize("room", ROOMS)
def test_the_house_has_the_rooms_of_the_design(room):
    assert (ROOT / room).exists()


def test_no_file_is_empty():
    empty = [str(path.relative_to(ROOT)) for path in files() if not path.read_bytes().strip()]

    assert empty == []


def test_a_module_of_the_core_that_the_design_does_not_name_has_a_decision():
    decided = " ".join(path.read_text() for path in (ROOT / "docs/decisions").glob("*.md"))

    strangers = {path.stem for path in (ROOT / "core").glob("*.py")} - set(DESIGNED.split())

    assert {name for name in strangers if f"`core/{name}.py`" not in decided} == set()


def test_nothing_names_a_machine_or_a_registry():
    found = [
        (name, word) for name, text in texts() for word in MACHINES if re.search(rf"(?<![\w.]){word}", text)
    ]
    found += [
        (name, word)
        for name, text in texts()
        for word in REGISTRIES
        if word in text.replace("--no-emit-index" + "-url", "").replace("--no-emit-find" + "-links", "")
    ]

    assert found == []


def test_nothing_is_left_for_later():
    found = [(name, hit[0]) for name, text in texts() if name.endswith(".py") for hit in LATER.finditer(text)]

    assert found == []


def test_sql_is_written_in_the_rooms_for_it_only():
    rooms = ("core/db/", "core/audit/", "core/queue.py")

    found = [
        f"{name}:{node.lineno}"
        for name, tree in modules(*PRODUCT, "studio_app.py", "audit_app.py")
        if not name.startswith(rooms)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and STATEMENT.match(node.value)
    ]

    assert found == []


def test_every_package_stands_under_the_import_rules():
    packages = {name for name in PRODUCT if (ROOT / name / "__init__.py").exists()}

    assert packages <= set(rules()["roots"]["root_packages"])
    assert packages <= set(rules()["SQL lives under core.db, core.audit and core.queue"]["source_modules"])


def test_every_adapter_stands_under_the_rule_that_they_do_not_know_each_other():
    shared = ("core.providers.__init__", "core.providers.http", "core.providers.sketch_")
    shared += ("core.providers.fields", "core.providers.reading", "core.providers.endings")
    shared += ("core.providers.references", "core.providers.webhooks")
    shared += ("core.storage.__init__", "core.storage.links")
    found = [name.removesuffix(".py").replace("/", ".") for name, _ in modules("core")]

    adapters = {name for name in found if name.startswith(("core.providers.", "core.storage."))}

    ruled = set(rules()["adapters do not import each other"]["modules"])
    assert {name for name in adapters if not name.startswith(shared)} <= ruled


def test_what_is_imported_is_asked_for_by_name():
    asked = set()
    for name, extras in re.findall(r"^([A-Za-z][\w-]*)(?:\[(.+)\])?", requirements(), re.MULTILINE):
        asked |= {name.lower(), *(f"{name}-{extra}".lower() for extra in extras.split(","))}
    bringers = {
        name: [one.lower().replace("_", "-") for one in found]
        for name, found in packages_distributions().items()
    }

    foreign = {
        name.partition(".")[0]
        for _, tree in modules(*PRODUCT, "studio_app.py", "audit_app.py")
        for node in ast.walk(tree)
        for name in imported(node)
    } - {*sys.stdlib_module_names, *PRODUCT}

    missing = {name for name in foreign if not asked & set(bringers.get(name, [name.lower()]))}
    assert missing == set()


def plain(name: str) -> str:
    """A package's name as every spelling of it agrees on (PEP 503): wheels write prometheus_client."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements() -> str:
    """What the product asks for, as people wrote it."""
    return (ROOT / "requirements.in").read_text()


def imported(node: ast.AST) -> list[str]:
    """The modules an import statement names; those of this very package are left out."""
    if isinstance(node, ast.Import):
        return [one.name for one in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [node.module or ""]
    return []


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt", "requirements-peers.txt"])
def test_every_dependency_is_locked_with_its_hash(lock):
    entries = re.split(r"\n(?=[A-Za-z])", (ROOT / lock).read_text())[1:]

    assert [
        entry.splitlines()[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry
    ] == []
    assert len(entries) > 10


def test_the_lock_holds_what_was_asked_for():
    asked = re.findall(r"^([A-Za-z][\w.-]*)", requirements(), re.MULTILINE)
    locked = set(re.findall(r"^([a-z][\w.-]*)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE))

    assert {name for name in asked if name.lower() not in locked} == set()


def test_migrations_are_numbered_and_each_number_is_used_once():
    names = [path.name for path in (ROOT / "supabase/migrations").glob("*")]

    assert [name for name in names if not re.fullmatch(r"\d{14}_[a-z0-9_]+\.sql", name)] == []
    assert [number for number, times in Counter(name[:14] for name in names).items() if times > 1] == []


def test_decisions_are_numbered_and_say_what_checks_them():
    pages = sorted((ROOT / "docs/decisions").glob("*.md"))

    assert [page.name[:4] for page in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    headings = {page.name: tuple(re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)) for page in pages}
    assert {name: found for name, found in headings.items() if found != SECTIONS} == {}


def test_the_readme_names_no_command_and_no_folder_that_is_not_there():
    readme = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    rows = re.findall(r"^\| `([^`]+)`", readme, re.MULTILINE)

    assert set(re.findall(r"(?:`|^)make ([a-z0-9-]+)", readme, re.MULTILINE)) - targets == set()
    assert [row for row in rows if not (ROOT / row).exists()] == []
    assert rows


def test_make_alone_lists_every_command():
    makefile = (ROOT / "Makefile").read_text()
    commands = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split()

    listed = set(re.findall(r"^([a-z0-9-]+):.*## ", makefile, re.MULTILINE))

    assert set(commands) - listed == {"browser"}  # a part of setup, not a thing one asks for


def test_the_image_gets_what_the_studio_is_made_of():
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}

    needed = {"core", "studio", "supabase", "studio_app.py", "requirements.txt"}
    needed |= {name for name in ("audit", "audit_app.py", ".streamlit", "static") if (ROOT / name).exists()}

    assert needed <= let_in


def test_every_picture_that_the_readme_shows_is_there():
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (ROOT / "README.md").read_text())

    assert shown
    assert [path for path in shown if not (ROOT / path).is_file()] == []
