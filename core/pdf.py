"""A few pages of text and JPEG pictures as a PDF 1.4: Helvetica, which every reader has, and pictures byte for byte.

Places are in points from the upper left corner. No input or output here.
"""

from __future__ import annotations

import io
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image

_ENCODING = "cp1252"  # WinAnsiEncoding
# Widths of Helvetica's glyphs 32 to 126 in thousandths of the size, as Adobe's metrics give them; others count as 556.
_WIDTHS = (
    *(278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, *(556,) * 10, 278, 278),
    *(
        584,
        584,
        584,
        556,
        1015,
        667,
        667,
        722,
        722,
        667,
        611,
        778,
        722,
        278,
        500,
        667,
        556,
        833,
        722,
        778,
        667,
    ),
    *(
        778,
        722,
        667,
        611,
        722,
        667,
        944,
        667,
        667,
        611,
        278,
        278,
        278,
        469,
        556,
        333,
        556,
        556,
        500,
        556,
        556,
    ),
    *(
        278,
        556,
        556,
        222,
        222,
        500,
        222,
        833,
        556,
        556,
        556,
        556,
        333,
        500,
        278,
        556,
        500,
        722,
        500,
        500,
        500,
    ),
    *(334, 260, 334, 584),
)
_FIRST, _OTHER = 32, 556
_BOLDER = 1.07  # Helvetica-Bold is about so much wider


@dataclass(kw_only=True)
class Page:
    """One page, drawn on by its methods; sizes in points."""

    width: float
    height: float
    drawn: list[bytes] = field(default_factory=list[bytes], repr=False)
    pictures: list[bytes] = field(default_factory=list[bytes], repr=False)

    def text(
        self,
        left: float,
        base: float,
        said: str,
        *,
        size: float,
        bold: bool = False,
        grey: float = 0.1,
        fit: float = 0,
    ) -> None:
        """One line with its feet at `base`; with `fit` it ends in an ellipsis within that width."""
        shown = _fitting(said, size * (_BOLDER if bold else 1), fit) if fit else said
        font = b"/F2" if bold else b"/F1"
        self.drawn.append(
            b"BT %.2f g %s %.2f Tf %.2f %.2f Td (%s) Tj ET"
            % (grey, font, size, left, self.height - base, _escaped(_encoded(shown)))
        )

    def lines(self, said: str, *, size: float, width: float, most: int) -> list[str]:
        """`said` broken at its words into at most `most` lines; the last one may be cut by `text`."""
        found = [""]
        for word in said.split():
            longer = f"{found[-1]} {word}".strip()
            if found[-1] and len(found) < most and measured(longer, size) > width:
                found.append(word)
            else:
                found[-1] = longer
        return [line for line in found if line]

    def frame(self, left: float, top: float, width: float, height: float) -> None:
        """A dashed frame: nothing is here."""
        self.drawn.append(
            b"q 0.7 G [3 3] 0 d %.2f %.2f %.2f %.2f re S Q"
            % (left, self.height - top - height, width, height)
        )

    def jpeg(self, data: bytes, left: float, top: float, width: float, height: float) -> None:
        """A JPEG picture, stretched to this place."""
        self.pictures.append(data)
        self.drawn.append(
            b"q %.2f 0 0 %.2f %.2f %.2f cm /P%d Do Q"
            % (width, height, left, self.height - top - height, len(self.pictures))
        )


def measured(said: str, size: float) -> float:
    """How wide a text is in Helvetica of that size, in points."""
    return sum(_wide(byte) for byte in _encoded(said)) * size / 1000


def _wide(byte: int) -> int:
    place = byte - _FIRST
    return _WIDTHS[place] if 0 <= place < len(_WIDTHS) else _OTHER


def _fitting(said: str, size: float, width: float) -> str:
    if measured(said, size) <= width:
        return said
    shown = said
    while shown and measured(f"{shown}…", size) > width:
        shown = shown[:-1]
    return f"{shown.rstrip()}…"


def _encoded(said: str) -> bytes:
    """In the font's letters: an accent it lacks is left out, any other foreign letter is a question mark."""
    return b"".join(map(_letter, said))


def _letter(one: str) -> bytes:
    try:
        return one.encode(_ENCODING) if one.isprintable() else b" "
    except UnicodeEncodeError:
        return _plain(one).encode("ascii", "ignore") or b"?"


def _plain(one: str) -> str:
    """The letter without its accents, or without its stroke as in ł."""
    bare = unicodedata.normalize("NFKD", one)
    named = unicodedata.name(one, "")
    return unicodedata.lookup(named.partition(" WITH ")[0]) if " WITH STROKE" in named else bare


def _escaped(text: bytes) -> bytes:
    return text.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")


def written(pages: Sequence[Page], *, title: str) -> bytes:
    """The file. Raises OSError where a picture is no JPEG that can be read."""
    objects: list[bytes] = [b"", b""]  # the catalogue and the tree of pages, once their numbers are known
    fonts = [_added(objects, _font(name)) for name in (b"Helvetica", b"Helvetica-Bold")]
    leaves = [_page(objects, page, fonts) for page in pages]
    info = _added(objects, b"<</Title (%s)>>" % _escaped(_encoded(title)))
    objects[0] = b"<</Type/Catalog/Pages 2 0 R>>"
    kids = b" ".join(b"%d 0 R" % one for one in leaves)
    objects[1] = b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(leaves), kids)
    return _joined(objects, info)


def _added(objects: list[bytes], body: bytes) -> int:
    objects.append(body)
    return len(objects)


def _font(name: bytes) -> bytes:
    return b"<</Type/Font/Subtype/Type1/BaseFont/%s/Encoding/WinAnsiEncoding>>" % name


def _page(objects: list[bytes], page: Page, fonts: Sequence[int]) -> int:
    shown = [_added(objects, _picture(data)) for data in page.pictures]
    packed = zlib.compress(b"\n".join(page.drawn))
    content = _added(
        objects, b"<</Filter/FlateDecode/Length %d>>stream\n%s\nendstream" % (len(packed), packed)
    )
    named = b"".join(b"/P%d %d 0 R" % (place, number) for place, number in enumerate(shown, 1))
    return _added(
        objects,
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %.0f %.0f]/Contents %d 0 R/Resources<</Font<</F1 %d 0 R/F2 %d 0 R>>"
        b"/XObject<<%s>>>>>>" % (page.width, page.height, content, fonts[0], fonts[1], named),
    )


def _picture(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as opened:
        width, height, form = opened.width, opened.height, (opened.format, opened.mode)
    if form != ("JPEG", "RGB"):
        raise OSError("Only a JPEG in RGB becomes part of a PDF.")
    return (
        b"<</Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/DCTDecode"
        b"/Length %d>>stream\n%s\nendstream" % (width, height, len(data), data)
    )


def _joined(objects: Sequence[bytes], info: int) -> bytes:
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    places: list[int] = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<</Size %d/Root 1 0 R/Info %d 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        info,
        start,
    )
    return bytes(out)
