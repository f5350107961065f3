"""The bill of materials in CycloneDX 1.6 (JSON): every pin with its licence, hashes and address of its kind."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence

from supply.packages import ROOT, Package, licence_of


def document(packages: Sequence[Package]) -> dict[str, object]:
    """The document; the same pins give the same one, so it holds no time and no random number."""
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "portrait-studio",
                "name": "portrait-studio",
                "version": _version(),
            }
        },
        "components": [_component(one) for one in packages],
        "dependencies": [
            {"ref": "portrait-studio", "dependsOn": [_address(one) for one in packages]},
            *({"ref": _address(one)} for one in packages),
        ],
    }


def _version() -> str:
    said = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    return str(said)


def _component(package: Package) -> dict[str, object]:
    return {
        "type": "library",
        "bom-ref": _address(package),
        "name": package.name,
        "version": package.version,
        "purl": _address(package),
        "scope": "optional" if package.when else "required",
        "licenses": [{"expression": licence_of(package)}],
        # One package has several files, one a system; CycloneDX has no place for them but the references.
        "externalReferences": [
            {
                "type": "distribution",
                "url": _address(package),
                "hashes": [{"alg": "SHA-256", "content": one} for one in package.hashes],
            }
        ],
    }


def _address(package: Package) -> str:
    return f"pkg:pypi/{package.name}@{package.version}"
