"""What the product is made of: licences, the bill of materials, and the question for known vulnerabilities."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from supply import licences, sbom
from supply.packages import Package, locked

ROOT = Path(__file__).parents[2]


def a_package(name="made-up", **values):
    return Package(**({"name": name, "version": "1.0", "when": "", "hashes": ("0" * 64,)} | values))


def test_the_page_of_licences_is_what_the_lock_and_the_metadata_say():
    assert (ROOT / "docs/licences.md").read_text() == licences.page(locked()), "Run `make licences`."


def test_no_package_is_unknown_or_asks_for_more_than_is_named_with_a_reason():
    assert licences.refusals(locked()) == []


def test_every_pin_of_the_lock_is_read_with_its_hashes():
    names = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)

    packages = locked()

    assert [one.name for one in packages] == [name.lower() for name in names]
    assert [one.name for one in packages if not one.hashes] == []


@pytest.mark.parametrize(
    ("licence", "asks"),
    [
        ("MIT", False),
        ("MIT OR GPL-3.0-only", False),
        ("Apache-2.0 AND MIT", False),
        ("(MIT OR Apache-2.0)", False),
        ("GPL-3.0-or-later", True),
        ("MIT AND LGPL-3.0-only", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("Whatever we like", True),
        ("", True),
    ],
)
def test_what_asks_for_more_than_its_notice_is_told_apart(licence, asks):
    assert licences.asks_for_more(licence) is asks


def test_a_package_without_a_known_licence_is_refused_by_name():
    assert any(said.startswith("made-up: ") for said in licences.refusals([*locked(), a_package()]))


def test_a_copyleft_that_only_the_files_of_a_wheel_name_is_refused_unless_it_stands_on_the_page(monkeypatch):
    monkeypatch.setattr(licences, "CARRIED", {})

    said = " ".join(licences.refusals(locked()))

    assert "pillow-heif carries files under a copyleft" in said


def test_a_reason_that_nothing_needs_any_more_is_refused(monkeypatch):
    monkeypatch.setattr(licences, "TAKEN", {**licences.TAKEN, "httpx": "once it did"})

    assert "httpx needs no reason any more: take it out of supply/licences.py." in licences.refusals(locked())


def test_the_bill_of_materials_names_every_pin_with_its_licence_and_hashes():
    packages = locked()

    bill = sbom.document(packages)

    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert [one["purl"] for one in bill["components"]] == [
        f"pkg:pypi/{one.name}@{one.version}" for one in packages
    ]
    assert all(one["licenses"][0]["expression"] for one in bill["components"])
    assert len({one["bom-ref"] for one in bill["components"]}) == len(packages)
    assert json.dumps(bill) == json.dumps(sbom.document(locked()))


class Advisories(BaseHTTPRequestHandler):
    """The database of vulnerabilities, with one thing known against one pin."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))["queries"]
        told = [
            {"vulns": [{"id": "GHSA-made-up"}]} if one["package"]["name"] == self.server.bad else {}
            for one in asked
        ]
        body = json.dumps({"results": told}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        pass


def audit(service):
    return subprocess.run(
        [sys.executable, "-m", "supply", "audit", "--service", service],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("bad", "status"), [("pillow", 1), ("nobody", 0)])
def test_a_pin_with_a_known_vulnerability_is_named_and_fails(bad, status):
    with HTTPServer(("127.0.0.1", 0), Advisories) as server:
        server.bad = bad
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        said = audit(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        serving.join(5)

    assert said.returncode == status
    assert ("GHSA-made-up" in said.stdout) is bool(status)
    assert f"{status} of {len(locked())} pins" in said.stdout


def test_a_database_that_cannot_be_asked_is_no_sign_of_health():
    said = audit("http://127.0.0.1:9")

    assert said.returncode == 2
    assert "needs a network" in said.stderr
    assert "pins in" not in said.stdout
