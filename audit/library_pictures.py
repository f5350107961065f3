"""Pictures of the library's findings, through the dashboard itself: the thumbnail where there is one (SPEC "Files")."""

from __future__ import annotations

import streamlit as st

from audit.look import say
from audit.services import person, services
from core import foreign_paths, images
from core.audit.library import Find
from core.errors import BadImage, ObjectMissing, StudioError
from core.storage import ATTRIBUTE_ORIGINALS, PUBLIC_ASSETS, Address, checked, is_key

_PUBLIC = frozenset({ATTRIBUTE_ORIGINALS, PUBLIC_ASSETS})


def show(find: Find, path: str | None) -> None:
    """One picture of a finding, or why there is none to see."""
    data, why = _bytes(find, path)
    if data is None:
        st.html(f'<div class="au-nothing"><span aria-hidden="true"></span><p>{say(why)}</p></div>')
    else:
        st.image(data, width="stretch")


def _bytes(find: Find, path: str | None) -> tuple[bytes | None, str]:
    if find.bucket is None or path is None:
        return None, "It lies elsewhere, so it is not fetched to be shown."
    if not is_key(path):
        return None, "Its name is none of ours, so it is not opened."
    address = Address(find.bucket, path)
    is_theirs = find.owner is not None and find.bucket not in _PUBLIC
    # Of two alike the other one may be another owner's: its row was read by the scan, and only the team sees this page.
    if is_theirs and path == find.path and foreign_paths.is_foreign(path, (find.owner,)):
        foreign_paths.note(address, person(), services())
        return None, "The row names a file of somebody else, so it is not shown."
    return _picture(address)


def _picture(address: Address) -> tuple[bytes | None, str]:
    thumbnail = Address(address.bucket, f"{address.path.rpartition('.')[0]}.thumb.webp")
    why = ""
    for one in (thumbnail, address):
        try:
            return _thumbnail(*checked(*one)), ""
        except ObjectMissing:
            why = "No such object is in the store."
        except BadImage as error:
            why = error.sentence
        except StudioError as error:
            return None, error.sentence
    return None, why


@st.cache_data(ttl=600, max_entries=200, show_spinner=False)
def _thumbnail(bucket: str, path: str) -> bytes:
    """A small picture of an object; one that cannot be read as a picture is not handed to a browser. Raises BadImage."""
    return images.read_picture(services().storage.get(bucket, path)).thumbnail
