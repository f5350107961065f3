"""Whose a picture or file is that this process holds for a page: the mark in its address.

Streamlit names what it serves under /media by its content, the same for everybody. Ours carries a mark of the person
it was drawn for and of the roles they held, which only this process can make: an address that was copied, guessed or
kept from before a role was taken opens nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from contextvars import ContextVar
from typing import Final

from streamlit.runtime.media_file_storage import MediaFileKind
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

from core.values import Person

_KEY: Final = secrets.token_bytes(32)  # of this process: what it holds ends with it
_MARK_CHARS: Final = 32
_SEAM: Final = "-"
NOBODYS: Final = "0" * _MARK_CHARS  # opens to nobody

# Who the file that is being made right now is for: set by whoever looked the person up.
made_for: ContextVar[str] = ContextVar("made_for", default=NOBODYS)


def of(person: Person) -> str:
    """The mark of a person with the roles they hold now: 32 hexadecimal digits."""
    said = "\n".join([str(person.id), *sorted(person.roles)])
    return hmac.digest(_KEY, said.encode(), hashlib.sha256).hex()[:_MARK_CHARS]


def is_of(name: str, person: Person) -> bool:
    """Whether a file's name under /media carries this person's mark."""
    return hmac.compare_digest(_marked(name), of(person).encode())


def _marked(name: str) -> bytes:
    return name.partition(".")[0].rpartition(_SEAM)[2].encode()


class MarkedMedia(MemoryMediaFileStorage):
    """Streamlit's own store of pictures and files, with `made_for` in each name."""

    def load_and_get_id(
        self, path_or_data: str | bytes, mimetype: str, kind: MediaFileKind, filename: str | None = None
    ) -> str:
        """As Streamlit does, under a name that carries the mark; the same bytes of two people are two files."""
        plain = super().load_and_get_id(path_or_data, mimetype, kind, filename)
        marked = f"{plain}{_SEAM}{made_for.get()}"
        self._files_by_id[marked] = self._files_by_id.pop(plain)
        return marked
