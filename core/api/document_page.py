"""The OpenAPI document as one page of plain HTML: no script, no picture, no other host. No input or output here."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #a8552d; }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem 4rem; }
code, pre { font: 0.875em/1.5 ui-monospace, monospace; }
pre { background: var(--soft); padding: 0.75rem 1rem; border-radius: 0.5rem; overflow-x: auto; }
section { border-top: 1px solid var(--line); margin-top: 2rem; }
h3 { font-size: 1rem; overflow-wrap: anywhere; }
h3 b { background: var(--accent); color: #fff; border-radius: 0.3rem; padding: 0.1rem 0.5rem; margin-right: 0.5rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.35rem 0.6rem; border-bottom: 1px solid var(--line); }
summary { cursor: pointer; padding: 0.3rem 0; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def render(document: Mapping[str, Any]) -> str:
    """The whole page. Every word of the document is escaped."""
    info = document["info"]
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>{escape(info['title'])}: HTTP interface</title><style>{_STYLE}</style></head><body><main>",
        f"<h1>{escape(info['title'])}</h1><p>{escape(info.get('description', ''))}</p>",
        "<p>For programs: <a href='/openapi.json'>openapi.json</a>.</p>",
        *(_tag(tag, document) for tag in document.get("tags", ())),
        _schemas(document.get("components", {}).get("schemas", {})),
        "</main></body></html>",
    ]
    return "".join(parts)


def _tag(tag: Mapping[str, str], document: Mapping[str, Any]) -> str:
    calls = [
        _call(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if tag["name"] in operation.get("tags", ())
    ]
    if not calls:
        return ""
    return f"<section><h2>{escape(tag['name'])}</h2><p>{escape(tag['description'])}</p>{''.join(calls)}</section>"


def _call(method: str, path: str, operation: Mapping[str, Any]) -> str:
    signed = "<p>Needs a bearer token.</p>" if operation.get("security") else ""
    return (
        f"<article><h3 id='{escape(operation['operationId'])}'><b>{escape(method.upper())}</b> <code>{escape(path)}</code></h3>"
        f"<p><strong>{escape(operation.get('summary', ''))}</strong><br>{escape(operation.get('description', ''))}</p>"
        f"{signed}{_parameters(operation.get('parameters', ()))}{_body(operation.get('requestBody', {}))}"
        f"{_responses(operation['responses'])}</article>"
    )


def _parameters(parameters: Sequence[Mapping[str, Any]]) -> str:
    rows = [(f"{one['name']} ({one['in']})", one.get("description", "")) for one in parameters]
    return _table(("Parameter", "Meaning"), rows) if rows else ""


def _body(body: Mapping[str, Any]) -> str:
    parts: list[str] = []
    for kind, content in body.get("content", {}).items():
        parts.append(f"<p>Body: <code>{escape(kind)}</code>, {_type(content['schema'])}</p>")
        examples = {name: one["value"] for name, one in content.get("examples", {}).items()}
        parts += [
            f"<details><summary>Example: {escape(name)}</summary>{_json(value)}</details>"
            for name, value in examples.items()
        ]
    return "".join(parts)


def _responses(responses: Mapping[str, Any]) -> str:
    rows = [(status, response["description"]) for status, response in responses.items()]
    return f"<details open><summary>Answers</summary>{_table(('Status', 'Meaning'), rows)}</details>"


def _schemas(schemas: Mapping[str, Any]) -> str:
    shown = [
        f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary>{_json(schema)}</details>"
        for name, schema in sorted(schemas.items())
    ]
    return f"<section><h2>Forms</h2>{''.join(shown)}</section>"


def _type(schema: Mapping[str, Any]) -> str:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return f"<a href='#{escape(name)}'><code>{escape(name)}</code></a>" if name else "<code>object</code>"


def _table(heads: Sequence[str], rows: Sequence[tuple[str, str]]) -> str:
    top = "".join(f"<th>{escape(head)}</th>" for head in heads)
    lines = "".join(
        f"<tr><td><code>{escape(one)}</code></td><td>{escape(two)}</td></tr>" for one, two in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>"


def _json(value: object) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"
