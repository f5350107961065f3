"""The review on paper: one HTML file that needs nothing beside it, and a PDF that says the same."""

from __future__ import annotations

import io
import re
import zlib
from datetime import UTC, datetime

import pytest
from PIL import Image

from core import attributes, contact_sheets, options, pdf, reviews
from core.errors import NotAllowed
from core.values import Cell, ReviewStatus, Role
from tests import builders
from tests.builders import one

STOCKY = Cell(category="body", value="Stocky", style="anime")
SLIM = Cell(category="body", value="Slim", style="anime")
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def pia(services):
    """Product."""
    return builders.a_person(services.db, "pia", Role.product)


@pytest.fixture
def sheet(services, pia):
    """Two pictures: one rejected with a note, one to review; an option switched off; the rest missing."""
    flux = one(services.db, "SELECT id FROM api_models WHERE model_key = 'fal-ai/flux/dev'")
    attributes.generate(pia, services, cells=[STOCKY, SLIM], model_id=flux)
    builders.work(services)
    picture = next(one for one in attributes.status(pia, services).cells if one.cell == STOCKY).picture
    note = "<script>alert(1)</script> too (dark), ł"
    reviews.review(STOCKY, ReviewStatus.rejected, pia, services, image_url=picture.image_url, note=note)
    options.switch("age", "80s", pia, services, active=False)
    return contact_sheets.gather(pia, services, now=NOW, zone=UTC, called=lambda who: f"P{str(who)[:4]}")


def drawn_in(data):
    """What the pages of a PDF draw, as text."""
    streams = re.findall(rb"/FlateDecode/Length \d+>>stream\n(.*?)\nendstream", data, re.DOTALL)
    return b"\n".join(map(zlib.decompress, streams)).decode("cp1252")


def test_the_html_holds_every_cell_with_its_standing_note_and_judge(sheet, pia):
    page = contact_sheets.as_html(sheet).decode()

    assert page.count("<figure>") == 44
    assert page.count("data:image/jpeg;base64,") == 2
    assert "x Rejected" in page
    assert "? To review" in page
    assert page.count("Its option is switched off.") == 2
    assert f"P{str(pia.id)[:4]}, " in page
    assert "0 of 14 approved, 2 present" in page


def test_the_html_runs_nothing_and_asks_nobody(sheet):
    page = contact_sheets.as_html(sheet).decode()

    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert re.findall(r"(?:src|href)=\"(?!data:)", page) == []
    assert "url(" not in page
    assert "@import" not in page


def test_the_pdf_says_the_same_on_pages_of_fourteen(sheet):
    data = contact_sheets.as_pdf(sheet)

    drawn = drawn_in(data)
    assert data.startswith(b"%PDF-1.4")
    assert b"/Count 4" in data  # age, body, ethnicity, style images
    assert data.count(b"/DCTDecode") == 2
    assert "[x] Rejected" in drawn
    assert "(\\(dark\\), l) Tj" in drawn
    assert "Page 4 of 4." in drawn


def test_each_object_of_the_pdf_lies_where_its_table_says(sheet):
    data = contact_sheets.as_pdf(sheet)

    start = int(re.search(rb"startxref\n(\d+)\n%%EOF", data)[1])
    places = [int(found) for found in re.findall(rb"(\d{10}) 00000 n ", data[start:])]
    assert data[start : start + 4] == b"xref"
    assert [data[place:].split(b" ", 1)[0] for place in places] == [
        str(number).encode() for number in range(1, len(places) + 1)
    ]


def test_the_pictures_are_small_enough_for_a_mail(sheet):
    assert len(contact_sheets.as_html(sheet)) < 400_000
    [small, *_] = [cell.picture for group in sheet.groups for cell in group.cells if cell.picture]
    assert Image.open(io.BytesIO(small)).size == (320, 480)


def test_a_row_that_names_a_foreign_file_has_no_picture(services, sheet, pia):
    with services.db.as_service() as conn:
        conn.execute("UPDATE attribute_images SET image_url = 'user-library/somebody/private.png'")

    again = contact_sheets.gather(pia, services, now=NOW, zone=UTC, called=str)

    assert [cell.picture for group in again.groups for cell in group.cells if cell.picture] == []
    with pytest.raises(NotAllowed):
        reviews.address_of("user-library/somebody/private.png", pia, services)


@pytest.mark.parametrize(
    ("said", "printed"), [("Zoë €5 “ok”", "Zoë €5 “ok”"), ("Łódź", "Lódz"), ("中", "?"), ("a\nb", "a b")]
)
def test_letters_the_font_lacks_are_plain_ones_or_question_marks(said, printed):
    page = pdf.Page(width=100, height=100)

    page.text(0, 0, said, size=10)

    assert f"({printed})" in drawn_in(pdf.written([page], title=said))


def test_a_line_that_is_too_long_ends_in_an_ellipsis_within_its_width():
    page = pdf.Page(width=100, height=100)

    page.text(0, 0, "a very long label indeed", size=10, fit=60)

    shown = re.search(r"\((.*)\) Tj", drawn_in(pdf.written([page], title="")))[1]
    assert shown.endswith("…")
    assert pdf.measured(shown, 10) <= 60


def test_words_are_broken_into_lines_and_the_last_takes_the_rest():
    page = pdf.Page(width=100, height=100)

    lines = page.lines("one two three four five six seven", size=10, width=50, most=2)

    assert len(lines) == 2
    assert " ".join(lines) == "one two three four five six seven"
