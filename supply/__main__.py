"""`python -m supply licences | sbom FILE | audit`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from supply import licences, sbom, vulnerabilities
from supply.packages import LOCK, ROOT, locked

PAGE = ROOT / "docs" / "licences.md"


def main() -> int:
    """The status: 0 well, 1 something is wrong with a package, 2 it could not be found out."""
    asked = argparse.ArgumentParser(prog="python -m supply", description=__doc__)
    words = asked.add_subparsers(dest="word", required=True)
    words.add_parser("licences", help="write docs/licences.md")
    words.add_parser("sbom", help="write the bill of materials").add_argument("file", type=Path)
    audit = words.add_parser("audit", help="ask for known vulnerabilities")
    audit.add_argument("--service", default=vulnerabilities.SERVICE, help="the database that is asked")
    said = asked.parse_args()
    if said.word == "licences":
        return _licences()
    return _sbom(said.file) if said.word == "sbom" else _audit(said.service)


def _licences() -> int:
    packages = locked()
    refusals = licences.refusals(packages)
    for sentence in refusals:
        print(sentence, file=sys.stderr)
    PAGE.write_text(licences.page(packages), "utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {len(packages)} packages.")
    return 1 if refusals else 0


def _sbom(file: Path) -> int:
    packages = locked()
    file.write_text(json.dumps(sbom.document(packages), indent=2) + "\n", "utf-8")
    print(f"{file}: {len(packages)} packages.")
    return 0


def _audit(service: str) -> int:
    packages = locked()
    try:
        found = vulnerabilities.known(packages, service)
    except vulnerabilities.NoAnswer as refusal:
        print(refusal, file=sys.stderr)
        return 2
    for package, names in found.items():
        print(f"{package.name} {package.version}: {', '.join(names)}")
    print(f"{len(found)} of {len(packages)} pins in {LOCK.name} have a known vulnerability.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
