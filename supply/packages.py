"""The packages the product runs on, as requirements.txt pins them, and each one's licence as its metadata says it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.txt"

_ENTRY = re.compile(r"^([A-Za-z0-9][\w.-]*)==([\w.!+-]+)(?:\s*;\s*([^\\\n]+?))?\s*\\?$", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_LICENCE_FILE = re.compile(r"\.dist-info/(?:licenses/.*|[^/]*(?:LICEN[CS]E|COPYING)[^/]*)$", re.IGNORECASE)
_COPYLEFT = re.compile(r"GNU (?:LESSER |AFFERO )?GENERAL PUBLIC LICENSE|\b[AL]?GPLv\d", re.IGNORECASE)
_LONGEST = 40  # characters; a longer `License` is the licence's text and not its name

# What the lock holds for other systems and newer Pythons, so that its metadata is not on every machine; read in its wheel.
ELSEWHERE: Mapping[str, str] = {
    "audioop-lts": "PSF-2.0",
    "colorama": "BSD-3-Clause",
    "httpx2-jsfetch": "BSD-3-Clause",
}
# Metadata from before licences had an expression: what is written there, and what it means.
_SPELLINGS: Mapping[str, str] = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "the mit license (mit)": "MIT",
}
# Their metadata carries a licence's whole text and a classifier that names no version of it; read in their files.
_READ: Mapping[str, str] = {"hyperframe": "MIT", "altair": "BSD-3-Clause"}


@dataclass(frozen=True, kw_only=True)
class Package:
    """One pin: `when` is its environment marker, empty where it is always installed; `hashes` are sha-256 of its files."""

    name: str
    version: str
    when: str
    hashes: tuple[str, ...]


def locked(lock: Path = LOCK) -> list[Package]:
    """The pins of a lock file, in its order."""
    text = lock.read_text("utf-8")
    found = list(_ENTRY.finditer(text))
    ends = [one.start() for one in found[1:]] + [len(text)]
    return [
        Package(
            name=one[1].lower(),
            version=one[2],
            when=one[3] or "",
            hashes=tuple(_HASH.findall(text, one.end(), end)),
        )
        for one, end in zip(found, ends, strict=True)
    ]


def licence_of(package: Package) -> str:
    """Its licence as an SPDX expression, empty where the metadata does not say it in words that are known here."""
    if package.name in _READ:
        return _READ[package.name]
    try:
        said = metadata.metadata(package.name)
    except metadata.PackageNotFoundError:
        return ELSEWHERE.get(package.name, "")
    return next(filter(None, _claims(said)), "")


def carries_copyleft(package: Package) -> bool:
    """Whether a licence file in its metadata holds, or names, a GNU General Public License."""
    try:
        files = metadata.files(package.name) or []
    except metadata.PackageNotFoundError:
        return False
    texts = [one for one in files if _LICENCE_FILE.search(str(one))]
    return any(_COPYLEFT.search(one.locate().read_text("utf-8", "replace")) for one in texts)


def _claims(said: Message) -> Iterator[str]:
    yield str(said.get("License-Expression") or "")
    named = str(said.get("License") or "").strip()
    if named and len(named) <= _LONGEST and "\n" not in named:
        yield _SPELLINGS.get(named.lower(), named)
    classifiers = [str(one) for one in said.get_all("Classifier") or []]
    names = [one.rpartition("::")[2].strip() for one in classifiers if one.startswith("License ::")]
    known = [_SPELLINGS[name.lower()] for name in names if name.lower() in _SPELLINGS]
    yield " OR ".join(sorted(set(known)))
