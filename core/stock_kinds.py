"""What can be wrong between rows and objects, in words, and the mark of an address that should not be stored: for the
library's scan (core/stock.py) and for the rules of rows (core/db/row_rules.py), which find the same links.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from core.db.stock import Line, Mark
from core.stored_links import StoredLink


class Kind(StrEnum):
    """What can be wrong, as findings name it behind `library.`."""

    object_missing = "object_missing"
    object_without_row = "object_without_row"
    size_differs = "size_differs"
    hash_differs = "hash_differs"
    thumbnail_missing = "thumbnail_missing"
    same_bytes = "same_bytes"
    look_alike = "look_alike"
    corrupt = "corrupt"
    blank = "blank"
    own_link = "own_link"
    external_link = "external_link"
    no_address = "no_address"


SENTENCES: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.object_missing: "A row names this picture, and the store has no such object.",
        Kind.object_without_row: "No row names this object. It may be a picture that was paid for.",
        Kind.size_differs: "The object has another size than its row records.",
        Kind.hash_differs: "The object has other bytes than its row records.",
        Kind.thumbnail_missing: "The picture is there, and its thumbnail is not.",
        Kind.same_bytes: "The library holds these very bytes twice.",
        Kind.look_alike: "Two pictures of the library look the same and are different files.",
        Kind.corrupt: "The object cannot be read as a picture.",
        Kind.blank: "The picture is a single colour: what a provider's safety filter returns.",
        Kind.own_link: "The row holds a signed link to an object of ours, which ends one day.",
        Kind.external_link: "The row holds a link to a picture that lies elsewhere and may vanish.",
        Kind.no_address: "The row's text is neither a stored picture nor a web address of one.",
    }
)
"""What a person reads, for every kind."""


def link_mark(source: str, line: Line, link: StoredLink | None) -> Mark:
    """A link (None: no address at all) in a column of a row, as a finding of the library; the link itself is left out."""
    kind = Kind.no_address if link is None else Kind.own_link if link.address else Kind.external_link
    address = link.address if link else None
    return Mark(
        kind=kind,
        table=source,
        row=f"{line.row_id}/{line.column_name}",
        sentence=SENTENCES[kind],
        bucket=address.bucket if address else None,
        path=address.path if address else None,
        table_name=source,
        row_id=line.row_id,
        column_name=line.column_name,
        owner=line.owner,
        character_id=line.character_id,
        job_id=line.job_id,
        host=link.host if link else None,
        dies_at=link.dies_at if link else None,
    )
