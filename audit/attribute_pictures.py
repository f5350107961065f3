"""Small and large attribute images as the page shows them, read from the storage."""

from __future__ import annotations

import base64

import streamlit as st

from audit.services import person, services
from core import contact_sheets, reviews
from core.errors import StudioError

_THUMB = (176, 264)  # pixels


def thumbnail(image_url: str) -> str | None:
    """A small picture as base64 WebP; None where it cannot be read. A published picture never changes its address."""
    try:
        return _small(*reviews.address_of(image_url, person(), services()))
    except StudioError:
        return None


def large(image_url: str) -> bytes:
    """A published picture as it is. Raises NotAllowed, ObjectMissing, StorageFailed."""
    return _whole(*reviews.address_of(image_url, person(), services()))


@st.cache_data(ttl=3600, max_entries=500, show_spinner=False)
def _small(bucket: str, path: str) -> str | None:
    try:
        data = services().storage.get(bucket, path)
        return base64.b64encode(contact_sheets.smaller(data, *_THUMB, "WEBP")).decode()
    except (StudioError, OSError):
        return None


@st.cache_data(ttl=600, max_entries=100, show_spinner=False)
def _whole(bucket: str, path: str) -> bytes:
    return services().storage.get(bucket, path)
