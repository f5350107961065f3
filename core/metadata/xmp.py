"""XMP packets that say a picture was made by a model (reference/image-metadata.md §4)."""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree as ET

from core.metadata.recipe import Profile, Recipe

_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_IPTC: Final = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_XMP: Final = "http://ns.adobe.com/xap/1.0/"
_META: Final = "adobe:ns:meta/"
TOOL: Final = "Portrait Studio"
for _prefix, _space in (("rdf", _RDF), ("Iptc4xmpExt", _IPTC), ("xmp", _XMP), ("x", _META)):
    ET.register_namespace(_prefix, _space)


def packet(recipe: Recipe, profile: Profile) -> str:
    """The packet with its processing instructions, as UTF-8 text."""
    meta = ET.Element(f"{{{_META}}}xmpmeta")
    about = ET.SubElement(
        ET.SubElement(meta, f"{{{_RDF}}}RDF"), f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": ""}
    )
    told = {f"{{{_IPTC}}}DigitalSourceType": recipe.origin.address, f"{{{_XMP}}}CreatorTool": TOOL}
    if recipe.model:
        told[f"{{{_IPTC}}}AISystemUsed"] = " ".join(filter(None, (recipe.model, recipe.provider)))
    if profile is Profile.internal and recipe.prompt:
        words = recipe.prompt + (f"\nNegative: {recipe.negative}" if recipe.negative else "")
        told[f"{{{_IPTC}}}AIPromptInformation"] = _plain(words)
    for name, value in told.items():
        ET.SubElement(about, name).text = value
    body = ET.tostring(meta, encoding="unicode")
    return f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{body}<?xpacket end="w"?>'


def _plain(text: str) -> str:
    """XML has no place for control characters and half surrogate pairs."""
    return "".join(
        one
        for one in text
        if one in "\t\n" or (one >= " " and not "\ud800" <= one <= "\udfff" and one not in "\ufffe\uffff")
    )
