"""What the OpenAPI document says, against what the served interface answers: schemathesis makes up requests from the
document, well-formed and not, follows its links, and holds every answer against it.

Small in CI; SOAK=1 makes up tens of thousands of requests (make soak).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from core import api
from core.api import portraits
from core.auth import LocalGate
from core.settings import Settings
from core.storage import PUBLIC_ASSETS
from tests.builders import a_character, a_finished_portrait, rows
from tests.fix_services import served

SOAK = os.environ.get("SOAK") == "1"
EXAMPLES = 1000 if SOAK else 8  # made-up requests of each kind for each call
MOST_WAITING = 40
PATIENCE = 3600 if SOAK else 170  # seconds
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,ignored_auth,use_after_free"
)
TOOL = "from schemathesis.cli import schemathesis; schemathesis()"
# SPEC "HTTP", and what each must be able to say.
SPECIFIED = {
    ("post", "/functions/v1/character-portrait"): {200, 202, 400, 401, 402, 403, 404, 409, 422, 429, 503},
    ("post", "/functions/v1/fal-image"): {200, 400, 401, 402, 403, 404, 409, 422, 429, 503},
    ("get", "/functions/v1/jobs/{job_id}"): {200, 400, 401, 403, 404},
    ("get", "/files/{bucket}/{path}"): {200, 206, 304, 403, 404, 416},
    ("post", "/functions/v1/character-suggestions"): {200, 400, 401, 402, 403, 404, 409, 422, 429, 503},
    ("post", "/callbacks/{provider}"): {200, 400, 403, 404, 413, 503},
    ("post", "/references"): {201, 400, 401, 403, 404, 409, 413, 415, 422},
    ("get", "/references"): {200, 401, 403, 404},
    ("get", "/healthz"): {200, 403},
    ("get", "/readyz"): {200, 503},
    ("get", "/metrics"): {200, 401, 403},
    ("post", "/cards"): {201, 400, 401, 403, 409, 413, 415, 422},
    ("get", "/cards/{character_id}"): {200, 400, 401, 404, 422, 503},
    ("get", "/cards/{character_id}/report"): {200, 400, 401, 404},
}


@pytest.fixture
def document(no_settings_around):
    """The document as it is made, without anything running."""
    services = SimpleNamespace(settings=Settings(_env_file=None))
    return api.build(services, LocalGate()).openapi()


def operations(document) -> Iterator[tuple[str, str, dict]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


# ---- the document itself


def test_the_document_names_every_call_of_the_specification_with_every_answer_it_may_give(document):
    said = {
        (method, path): {int(status) for status in one["responses"]}
        for method, path, one in operations(document)
    }

    assert {call: statuses - said.get(call, set()) for call, statuses in SPECIFIED.items()} == {
        call: set() for call in SPECIFIED
    }


def test_every_call_has_a_summary_a_tag_that_is_described_and_a_name_of_its_own(document):
    tags = {tag["name"] for tag in document["tags"]}
    names = [one["operationId"] for _, _, one in operations(document)]

    assert [path for _, path, one in operations(document) if not one.get("summary")] == []
    assert [path for _, path, one in operations(document) if not set(one.get("tags", ())) & tags] == []
    assert len(names) == len(set(names))


def test_every_refusal_in_the_document_has_the_one_form_and_names_its_codes(document):
    refusals = [
        (path, status, answer)
        for _, path, one in operations(document)
        for status, answer in one["responses"].items()
        if int(status) >= 400 and (path, status) != ("/readyz", "503")
    ]

    formless = [
        (path, status) for path, status, one in refusals if "Refusal" not in json.dumps(one["content"])
    ]
    codeless = [
        (path, status)
        for path, status, one in refusals
        if status != "502" and not re.search(r"[A-Z]{4}", one["description"].partition(":")[2])
    ]
    assert len(refusals) > 20
    assert (formless, codeless) == ([], [])


def test_a_call_that_spends_takes_a_key_a_bearer_token_and_json_only(document):
    spending = [
        one for method, path, one in operations(document) if method == "post" and "/functions/" in path
    ]

    for one in spending:
        keys = [parameter for parameter in one["parameters"] if parameter["name"] == "Idempotency-Key"]
        assert [(key["in"], key["schema"]["maxLength"]) for key in keys] == [("header", 200)]
        assert one["security"] == [{"bearer": []}]
        assert list(one["requestBody"]["content"]) == ["application/json"]
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert len(spending) >= 2


def test_the_examples_of_the_document_are_requests_that_are_taken(services, ana, app, document):
    character = a_character(ana, services)
    client = app.as_(ana, Prefer="respond-async")
    examples = [
        (path, example["value"])
        for _, path, one in operations(document)
        for content in one.get("requestBody", {}).get("content", {}).values()
        for example in content.get("examples", {}).values()
        if path.endswith("/character-portrait")
    ]

    statuses = []
    for path, value in examples:
        body = value | ({"characterId": str(character.id)} if "characterId" in value else {})
        statuses.append(client.post(path, json=body).status_code)

    assert statuses == [202] * len(statuses)
    assert len(statuses) >= 2


def test_the_document_is_the_same_whoever_makes_it_and_when(document, app):
    assert app.as_(None).get("/openapi.json").json() == json.loads(json.dumps(document))


# ---- its page


def test_the_page_of_the_document_shows_every_call_and_needs_nothing_but_itself(app, document):
    answer = app.as_(None).get("/docs")

    assert answer.status_code == 200
    for _, path, one in operations(document):
        assert f"<code>{path}</code>" in answer.text
        assert one["summary"] in answer.text.replace("&#x27;", "'")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert re.findall(r"""(?:src|href)=['"](?!#|/)[^'"]*""", answer.text) == []
    assert "<script" not in answer.text


# ---- made-up requests


@pytest.fixture
def asked(build, ana, monkeypatch):
    """A studio with a portrait, another that waits, and no worker: what is asked for only waits."""
    services = build(providers=("sketch",), max_waiting=MOST_WAITING)
    done = a_finished_portrait(ana, services, a_character(ana, services))
    services.storage.put(
        PUBLIC_ASSETS, "attribute-images/age/30s-anime-0a1b2c3d.jpg", b"\xff\xd8 thirty", "image/jpeg"
    )
    monkeypatch.setattr(
        portraits, "LONGEST_WAIT", 0.0
    )  # a call that would wait for its portrait answers as the job stands
    return services, done


def test_no_made_up_request_breaks_the_studio_or_gets_an_answer_the_document_does_not_know(
    asked, ana, tmp_path
):
    services, _ = asked

    with served(services) as serving_it:
        serving_it.gate.let_in(ana)
        ran = subprocess.run(
            [
                *(sys.executable, "-W", "ignore", "-c", TOOL, "run", f"{serving_it.url}/openapi.json"),
                *("--header", f"Authorization: Bearer {ana.name}", "--checks", CHECKS, "--mode", "all"),
                *("--max-examples", str(EXAMPLES), "--workers", "1", "--request-timeout", "20", "--no-color"),
                *(
                    ("--generation-database", "none")
                    if SOAK
                    else ("--seed", "8", "--generation-deterministic")
                ),
                "--continue-on-failure",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    print(ran.stdout[-6000:])
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-3000:]
    tested = re.search(r"(\d+) generated", ran.stdout)
    assert tested is not None
    assert int(tested[1]) > 7 * EXAMPLES
    assert len(rows(services.db, "SELECT id FROM jobs WHERE status = 'queued'")) <= MOST_WAITING
