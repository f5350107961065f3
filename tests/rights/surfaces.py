"""The ways into the product, found in the product itself: what the table has to have a line for."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from fastapi import FastAPI
from starlette.routing import BaseRoute, Mount, WebSocketRoute
from starlette.routing import Route as StarletteRoute

ROOT = Path(__file__).parents[2]
SCREENS = ("studio", "audit", "core/api")


def use_cases() -> frozenset[str]:
    """Every function of core that takes a person and is named by a page, the dashboard or a route, by its whole name."""
    return frozenset(name for path in _scripts() for name in _named_in(path) if _takes_a_person(name))


def _scripts() -> Iterator[Path]:
    for folder in SCREENS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def _named_in(path: Path) -> Iterator[str]:
    """Names of core that are used as `module.name` or imported by themselves, written out."""
    tree = ast.parse(path.read_text())
    imported = {
        one.asname or one.name: f"{node.module}.{one.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "core"
        for one in node.names
    }
    yield from imported.values()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
            yield f"{imported[node.value.id]}.{node.attr}"


def _takes_a_person(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ImportError:
        return False
    return inspect.isfunction(found) and {"person", "services"} <= set(inspect.signature(found).parameters)


@dataclass(frozen=True, kw_only=True)
class Route:
    """An address as it was registered; `is_ours` is False for what Gradio brought."""

    method: str
    path: str
    is_ours: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def routes(app: FastAPI) -> list[Route]:
    """Every address of the application and of what is mounted in it; sockets have the method WS."""
    return sorted(set(_routes(app.routes, "", is_ours=True)), key=str)


def _routes(found: Iterable[BaseRoute], before: str, *, is_ours: bool) -> Iterator[Route]:
    for one in found:
        if isinstance(one, Mount):
            yield from _routes(one.routes, before + one.path, is_ours=False)
        elif isinstance(one, WebSocketRoute):
            yield Route(method="WS", path=before + one.path, is_ours=is_ours)
        elif isinstance(one, StarletteRoute):
            for method in one.methods or ():
                yield Route(method=method, path=before + one.path, is_ours=is_ours)
        else:  # FastAPI keeps an included router whole
            yield from _routes(one.original_router.routes, before, is_ours=is_ours)


def blocks(app: FastAPI) -> gr.Blocks:
    """The page's Gradio app."""
    [mounted] = [one.app for one in app.routes if isinstance(one, Mount)]
    return mounted.get_blocks()


def events(app: FastAPI) -> dict[str, list[int]]:
    """Every event that runs Python, by the name of its function, with its numbers: a part on several pages has several.

    One that does several things by the name in `action` stands there once for each.
    """
    found: defaultdict[str, list[int]] = defaultdict(list)
    for number, event in blocks(app).fns.items():
        if event.fn is not None:
            for name in _names(event.fn, event.targets[0][1]):
                found[name].append(number)
    return dict(found)


def _names(function: Callable[..., object], event: str) -> Iterator[str]:
    known = inspect.getclosurevars(function).nonlocals
    name = f"{function.__module__}.{event if function.__name__ == 'answer' else function.__name__}"
    yield from (f"{name}/{action}" for action in known["acts"]) if "acts" in known else (name,)


def questions(app: FastAPI) -> dict[str, list[int]]:
    """Every question a page's script asks its server, with the components that ask it."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for number, block in blocks(app).blocks.items():
        for function in vars(block).values():
            if getattr(function, "_is_server_fn", False):
                for name, answer in inspect.getclosurevars(function).nonlocals["answers"].items():
                    found[f"{answer.__module__}.{name}"].append(number)
    return dict(found)
