"""The review of attribute images on paper: one self-contained HTML file, or a PDF (SPEC "Attribute images").

Every cell with its picture, where it stands, what was said of it, by whom and when. The HTML holds every letter; the PDF
is printed in Helvetica, so letters beyond Western European ones stand there as question marks.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from uuid import UUID

from PIL import Image, UnidentifiedImageError

from core import attributes, options, reviews
from core.attributes import CellStatus
from core.audit.attributes import STANDING_WORDS, Standing, complete, standing
from core.catalog import Catalog
from core.errors import StudioError
from core.pdf import Page, written
from core.services import Services
from core.values import STYLE_IMAGE, AttributePicture, Person, ReviewStatus

_WIDTH, _HEIGHT = 320, 480  # pixels of a picture on the sheet
_QUALITY = 82
# An A4 page lying down, in points.
_ACROSS, _DOWN, _MARGIN = 842, 595, 36
_COLUMNS, _ROWS, _GAP = 7, 2, 12
_MARKS = {  # told apart without colour
    Standing.approved: "+",
    Standing.rejected: "x",
    Standing.unverified: "?",
    Standing.failed: "!",
}


@dataclass(frozen=True, kw_only=True)
class SheetCell:
    """One cell on the sheet; `picture` is a small JPEG, None where there is none to show."""

    label: str
    style: str
    standing: Standing
    why: str
    note: str
    who: str
    when: datetime | None
    picture: bytes | None = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class SheetGroup:
    """The cells of one category, and how complete it is in words."""

    label: str
    told: str
    cells: tuple[SheetCell, ...]


@dataclass(frozen=True, kw_only=True)
class ContactSheet:
    """The whole review at one moment; times are shown in `zone`."""

    made_at: datetime
    zone: tzinfo
    groups: tuple[SheetGroup, ...]


def gather(
    person: Person, services: Services, *, now: datetime, zone: tzinfo, called: Callable[[UUID], str]
) -> ContactSheet:
    """Read the matrix and its pictures as `person`; `called` names who judged. Raises NotAllowed, QueryTimedOut,
    DatabaseUnavailable.
    """
    attributes.require_reader(person)
    with services.db.as_reader(person) as conn:
        cells = attributes.read_matrix(conn, services, whole=True).cells
        known = options.catalog_on(conn, services.catalog, whole=True)
    told = {one.name: one for one in complete(cells, by_style=False)}
    groups: list[SheetGroup] = []
    for key, label in _categories(known):
        counted = told.get(key)
        groups.append(
            SheetGroup(
                label=label,
                told=f"{counted.approved} of {counted.required} approved, {counted.present} present"
                if counted
                else "not required",
                cells=tuple(
                    _cell(one, known, (person, services), called) for one in cells if one.cell.category == key
                ),
            )
        )
    return ContactSheet(made_at=now, zone=zone, groups=tuple(groups))


def _categories(known: Catalog) -> Iterator[tuple[str, str]]:
    yield from ((one.key, one.label) for one in known.categories)
    yield STYLE_IMAGE, "Style images"


def _cell(
    one: CellStatus, known: Catalog, asker: tuple[Person, Services], called: Callable[[UUID], str]
) -> SheetCell:
    picture = one.picture
    judged = picture is not None and picture.review_status is not ReviewStatus.pending
    style = next((each.label for each in known.styles if each.key == one.cell.style), one.cell.style)
    return SheetCell(
        label=one.label,
        style=style,
        standing=standing(one),
        why=one.why,
        note=(picture.review_note or "") if picture else "",
        who=called(picture.reviewed_by) if picture and judged and picture.reviewed_by else "",
        when=picture.reviewed_at if picture and judged else None,
        picture=_small(picture, *asker) if picture else None,
    )


def _small(picture: AttributePicture, person: Person, services: Services) -> bytes | None:
    try:
        address = reviews.address_of(picture.image_url, person, services)
        return smaller(services.storage.get(*address), _WIDTH, _HEIGHT, "JPEG")
    except (StudioError, OSError, UnidentifiedImageError):
        return None


def smaller(data: bytes, width: int, height: int, form: str) -> bytes:
    """A picture within `width` × `height`, as JPEG or WEBP. Raises OSError where it cannot be decoded."""
    with Image.open(io.BytesIO(data)) as opened:
        opened.draft("RGB", (width, height))
        picture = opened.convert("RGB")
    picture.thumbnail((width, height), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, form, quality=_QUALITY)
    return out.getvalue()


def _verdict(cell: SheetCell, sheet: ContactSheet) -> str:
    """Who judged it and when."""
    if not cell.who or cell.when is None:
        return ""
    return f"{cell.who}, {cell.when.astimezone(sheet.zone):%-d %b %Y}"


def _made(sheet: ContactSheet) -> str:
    return f"{sheet.made_at.astimezone(sheet.zone):%-d %b %Y, %H:%M}"


# -- HTML -----------------------------------------------------------------------------------------------------------

_STYLE = """
:root{color-scheme:light dark;--line:light-dark(#e2e2ea,#272a33);--soft:light-dark(#585866,#a6a8b6);--page:light-dark(#fff,#14161b);
--text:light-dark(#18181f,#ececf2);--good:light-dark(#15803d,#4ade80);--bad:light-dark(#c42540,#ff8095);--warn:light-dark(#a15c07,#f0b45a)}
body{margin:32px auto;max-width:1240px;padding:0 24px;background:var(--page);color:var(--text);font:14px/1.45 Inter,system-ui,sans-serif}
h1{margin:0;font-size:24px;letter-spacing:-.02em}h2{display:flex;gap:12px;align-items:baseline;margin:34px 0 12px;font-size:17px}
h2 small,header p,figcaption{color:var(--soft);font-weight:400;font-size:13px}header p{margin:4px 0 0}
section>div{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:16px}
figure{margin:0;break-inside:avoid}figure>img,figure>div{display:grid;place-content:center;width:100%;aspect-ratio:2/3;object-fit:cover;border-radius:12px;border:1px solid var(--line);box-sizing:border-box;color:var(--soft);font-size:13px}
figure>div{border-style:dashed}figcaption b{display:block;margin-top:8px;color:var(--text);font-size:14px}
.approved{color:var(--good)}.rejected,.failed{color:var(--bad)}.unverified{color:var(--warn)}figcaption span{font-weight:600}q{display:block;color:var(--text)}
@media print{body{margin:0}figure{page-break-inside:avoid}}
"""


def as_html(sheet: ContactSheet) -> bytes:
    """One file that needs nothing beside it: no script, no address outside."""
    groups = "".join(
        f"<section><h2>{_say(group.label)}<small>{_say(group.told)}</small></h2>"
        f"<div>{''.join(_figure(cell, sheet) for cell in group.cells)}</div></section>"
        for group in sheet.groups
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Attribute images, {_say(_made(sheet))}</title><style>{_STYLE}</style>"
        f"<header><h1>Attribute images</h1><p>As reviewed on {_say(_made(sheet))}.</p></header>{groups}</html>"
    ).encode()


def _figure(cell: SheetCell, sheet: ContactSheet) -> str:
    words = STANDING_WORDS[cell.standing]
    alt = _say(f"{cell.label}, {cell.style}")
    shown = (
        f'<img alt="{alt}" src="data:image/jpeg;base64,{base64.b64encode(cell.picture).decode()}">'
        if cell.picture
        else f"<div>{_say(words)}</div>"
    )
    mark = _MARKS.get(cell.standing, "")
    lines = [
        f'<span class="{cell.standing.value}">{_say(f"{mark} {words}".strip())}</span>',
        _say(_verdict(cell, sheet)),
        f"<q>{_say(cell.note)}</q>" if cell.note else "",
        _say(cell.why),
    ]
    told = "<br>".join(filter(None, lines)).replace("<br><q>", "<q>")
    return f"<figure>{shown}<figcaption><b>{_say(cell.label)} · {_say(cell.style)}</b>{told}</figcaption></figure>"


def _say(text: str) -> str:
    return html.escape(text, quote=True)


# -- PDF ------------------------------------------------------------------------------------------------------------


def as_pdf(sheet: ContactSheet) -> bytes:
    """Pages of A4 lying down, fourteen cells each; a category begins on a page of its own."""
    parts = [(group, part) for group in sheet.groups for part in _parts(group.cells, _COLUMNS * _ROWS)]
    pages = [_page(group, part, sheet, number, len(parts)) for number, (group, part) in enumerate(parts, 1)]
    return written(pages, title=f"Attribute images, {_made(sheet)}")


def _parts(cells: Sequence[SheetCell], size: int) -> Iterator[Sequence[SheetCell]]:
    yield from (cells[start : start + size] for start in range(0, len(cells), size))


def _page(
    group: SheetGroup, cells: Sequence[SheetCell], sheet: ContactSheet, number: int, pages: int
) -> Page:
    page = Page(width=_ACROSS, height=_DOWN)
    page.text(_MARGIN, 46, group.label, size=17, bold=True)
    page.text(_MARGIN, 62, group.told, size=9.5, grey=0.38)
    foot = f"Attribute images as reviewed on {_made(sheet)}. Page {number} of {pages}."
    page.text(_MARGIN, _DOWN - 18, foot, size=8, grey=0.45)
    wide = (_ACROSS - 2 * _MARGIN - (_COLUMNS - 1) * _GAP) / _COLUMNS
    tall = (_DOWN - 76 - 34) / _ROWS
    for place, cell in enumerate(cells):
        left = _MARGIN + (place % _COLUMNS) * (wide + _GAP)
        _draw_cell(page, cell, sheet, left, 76 + (place // _COLUMNS) * tall, wide)
    return page


def _draw_cell(
    page: Page, cell: SheetCell, sheet: ContactSheet, left: float, top: float, wide: float
) -> None:
    tall = wide * 1.5
    words = STANDING_WORDS[cell.standing]
    if cell.picture:
        page.jpeg(cell.picture, left, top, wide, tall)
    else:
        page.frame(left, top, wide, tall)
        page.text(left + 8, top + tall / 2, words, size=9, grey=0.45)
    page.text(left, top + tall + 12, f"{cell.label}, {cell.style}", size=8.5, bold=True, fit=wide)
    line = top + tall + 23
    mark = _MARKS.get(cell.standing, "")
    page.text(left, line, f"[{mark}] {words}" if mark else words, size=8, fit=wide)
    for said in filter(None, (_verdict(cell, sheet), cell.note or cell.why)):
        for part in page.lines(said, size=7.5, width=wide, most=2):
            line += 9.5
            page.text(left, line, part, size=7.5, grey=0.35, fit=wide)
