"""What a column holds as a picture's address, and when a link in it dies."""

from datetime import UTC, datetime, timedelta

import jwt
import pytest

from core.storage import Address
from core.stored_links import StoredLink, read

MADE = datetime(2026, 11, 20, 12, tzinfo=UTC)
ENDS = datetime(2027, 11, 20, 12, tzinfo=UTC)
OWN = "project.supabase.co"
TOKEN = jwt.encode({"url": "user-library/u/a.png", "exp": int(ENDS.timestamp())}, "x" * 32)


def of(value, bucket="user-library"):
    return read(value, default_bucket=bucket, own_hosts=(OWN,), made_at=MADE)


@pytest.mark.parametrize(
    "value",
    [
        "user-library/u/a.png",
        "u/a.png",
        f"https://{OWN}/storage/v1/object/public/user-library/u/a.png",
    ],
)
def test_an_address_of_ours_is_no_link_whatever_its_form(value):
    assert of(value) == Address("user-library", "u/a.png")


def test_a_path_alone_lies_in_its_columns_bucket():
    assert of("u/a.png", "workspace-temp") == Address("workspace-temp", "u/a.png")


def test_a_signed_link_of_our_own_project_names_its_object_and_its_end():
    found = of(f"https://{OWN}/storage/v1/object/sign/user-library/u/a.png?token={TOKEN}")

    assert found == StoredLink(host=OWN, address=Address("user-library", "u/a.png"), dies_at=ENDS)


def test_a_signed_link_of_the_studio_says_its_end_in_its_token():
    found = of(f"/files/user-library/u/a.png?token={int(ENDS.timestamp()):x}-sealed")

    assert isinstance(found, StoredLink)
    assert (found.address, found.dies_at) == (Address("user-library", "u/a.png"), ENDS)


@pytest.mark.parametrize(
    ("link", "ends"),
    [
        ("https://b.s3.amazonaws.com/a.png?X-Amz-Date=20261120T120000Z&X-Amz-Expires=3600", MADE + timedelta(hours=1)),
        ("https://storage.googleapis.com/b/a.png?X-Goog-Date=20261120T120000Z&X-Goog-Expires=60", MADE + timedelta(minutes=1)),
        (f"https://elsewhere.supabase.co/storage/v1/object/sign/x/a.png?token={TOKEN}", ENDS),
        (f"https://cdn.example.org/a.png?Expires={int(ENDS.timestamp())}&Signature=s", ENDS),
        ("https://a.blob.core.windows.net/c/a.png?se=2027-11-20T12%3A00%3A00Z&sig=s", ENDS),
        ("https://replicate.delivery/xezq/out-0.webp", MADE + timedelta(hours=1)),
        ("https://pbxt.replicate.delivery/out-0.webp", MADE + timedelta(hours=1)),
        ("https://v3.fal.media/files/a.png", None),
        ("https://example.org/a.png?token=not.a.token", None),
        ("https://example.org/a.png?Expires=99999999999999999999", None),
        ("https://notreplicate.delivery.example.org/a.png", None),
    ],
)  # fmt: skip
def test_an_external_link_dies_when_it_or_its_provider_says(link, ends):
    found = of(link)

    assert isinstance(found, StoredLink)
    assert (found.address, found.dies_at) == (None, ends)


@pytest.mark.parametrize(
    "value", ["", "data:image/png;base64,AAAA", "/placeholder.svg", "ü.png", "https://["]
)
def test_what_is_no_address_is_told_apart(value):
    assert of(value) is None


def test_a_link_is_never_part_of_what_is_remembered():
    assert "sealed" not in repr(of("https://v3.fal.media/files/sealed.png?token=sealed"))
