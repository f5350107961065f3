"""Which pins have a known vulnerability, asked of the open database of them (OSV), where the Python packages' own
advisories are kept too. One request for all pins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import httpx

from supply.packages import Package

SERVICE = "https://api.osv.dev"
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)  # seconds


class NoAnswer(Exception):
    """The database could not be asked: that is no sign of health."""


def known(packages: Sequence[Package], service: str = SERVICE) -> dict[Package, tuple[str, ...]]:
    """The names of what is known against each pin; pins with nothing against them are left out. Raises NoAnswer."""
    asked = [{"package": {"name": one.name, "ecosystem": "PyPI"}, "version": one.version} for one in packages]
    try:
        answer = httpx.post(f"{service}/v1/querybatch", json={"queries": asked}, timeout=_TIMEOUT)
        answer.raise_for_status()
        results = cast("Sequence[Mapping[str, Sequence[Mapping[str, str]]]]", answer.json()["results"])
        found = [tuple(one["id"] for one in result.get("vulns", ())) for result in results]
        return {one: names for one, names in zip(packages, found, strict=True) if names}
    except (httpx.HTTPError, LookupError, TypeError, ValueError, AttributeError) as exc:
        raise NoAnswer(
            f"Nothing is known about the pins: {service} could not be asked. This needs a network; run it where there is one."
        ) from exc
