"""Links to stored pictures: a link opens one object until it ends, and no spelling of it opens another.

A right is decided where a link is signed (the use cases); the file's address itself asks for our signature, whoever sends it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from core.storage import BUCKETS, LIBRARY, PUBLIC_ASSETS, WORKSPACE
from tests.rights.site import NOBODY, Site
from tests.rights.table import reads
from tests.rights.world import OWNER, WHO

EVERYBODY = (NOBODY, *WHO)
SECRET = b"<script>these bytes are the studio's alone</script>"
CASES = [
    (who, whose)
    for who in WHO
    for whose in ("own", "another's", "shared")
    if (who, whose) != (OWNER, "another's")
]


@pytest.fixture(scope="module")
def link(site):
    """A link to the owner's portrait, as the page of the owner shows it."""
    return signed(site, LIBRARY, site.world.work[OWNER].path)


def signed(site: Site, bucket: str, path: str, *, now: datetime | None = None) -> str:
    return site.world.apart.links.sign((bucket, path), now or datetime.now(UTC))


def get(site: Site, raw: str, who: str = OWNER, method: str = "GET", **headers: str) -> httpx.Response:
    """As it is written: httpx would tidy the path up."""
    url = httpx.URL(site.apart).copy_with(raw_path=raw.encode("latin-1"))
    return site.client(who).request(method, url, headers=headers)


def shown(site: Site, who: str, whose: str) -> list[str]:
    """Every link that a person's answers hold about a character, by all the ways a picture is shown."""
    row, found = site.world.row(who, whose), []
    client = site.client(who, whose)
    for answer in (
        client.get(f"/functions/v1/jobs/{row.saved_job}"),
        client.get("/references", params={"characterId": str(row.character.id)}),
        client.get("/downloads/portraits", params={"ids": str(row.portrait)}),
    ):
        kind = answer.headers.get("content-type", "")
        found += re.findall(r"/files/[^\"]+", answer.text) if kind.startswith("application/json") else []
    return found


@pytest.mark.parametrize(("who", "whose"), CASES)
def test_links_are_given_to_those_who_may_see_the_row_and_open_its_object(site, who, whose):
    links = shown(site, who, whose)

    assert bool(links) is reads(who, whose)
    for one in links:
        answer = get(site, one, who)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")


def test_a_link_opens_its_object_for_whoever_holds_it_and_nothing_without_it(site, link, count):
    bare = link.partition("?")[0]
    held = {
        (who, method): get(site, link, who, method).status_code
        for who in EVERYBODY
        for method in ("GET", "HEAD")
    }
    without = {
        (who, method): get(site, bare, who, method).status_code
        for who in EVERYBODY
        for method in ("GET", "HEAD")
    }

    assert set(held.values()) == {200}
    assert set(without.values()) == {403}
    count(f"links: {len(held) + len(without)} cases with and without a signature")


def forged(site: Site, link: str) -> dict[str, str]:
    """What somebody with one good link may try, by name."""
    row, other = site.world.work[OWNER], site.world.work["colleague"]
    bare, _, token = link.partition("?")
    path, mine = bare.removeprefix(f"/files/{LIBRARY}/"), f"?{token}"
    hers = other.path
    ended = signed(site, LIBRARY, row.path, now=datetime.now(UTC) - timedelta(days=3))
    expiry, mac = token.removeprefix("token=").split("-", 1)
    weak = hmac.new(
        b"", f"portrait-studio file\n{LIBRARY}\n{hers}\n{int(expiry, 16)}".encode(), hashlib.sha256
    ).hexdigest()
    return {
        "another's path": f"/files/{LIBRARY}/{hers}{mine}",
        "another's id in front": f"/files/{LIBRARY}/{other.character.user_id}/{path.partition('/')[2]}{mine}",
        "an id that begins like it": f"/files/{LIBRARY}/{path[:8]}{mine}",
        "an id that goes on": f"/files/{LIBRARY}/{path.replace('/', '0/', 1)}{mine}",
        "another bucket": f"/files/{WORKSPACE}/{path}{mine}",
        "a public bucket's path": f"/files/{PUBLIC_ASSETS}/../{LIBRARY}/{path}",
        "a public bucket's path, encoded": f"/files/{PUBLIC_ASSETS}/%2e%2e/{LIBRARY}/{path}",
        "a public bucket's path, twice encoded": f"/files/{PUBLIC_ASSETS}/%252e%252e/{LIBRARY}/{path}",
        "a public bucket's path, a slash encoded": f"/files/{PUBLIC_ASSETS}%2f..%2f{LIBRARY}%2f{path}",
        "up and down again": f"/files/{LIBRARY}/{path.partition('/')[0]}/../{hers}{mine}",
        "up and down, encoded": f"/files/{LIBRARY}/{path.partition('/')[0]}/%2e%2e/{hers}{mine}",
        "two slashes": f"/files/{LIBRARY}//{path}{mine}",
        "a slash at the end": f"/files/{LIBRARY}/{path}/{mine}",
        "a backslash": f"/files/{LIBRARY}/..%5c{hers}{mine}",
        "a NUL": f"/files/{LIBRARY}/{path}%00.png{mine}",
        "a line break": f"/files/{LIBRARY}/{path[:9]}%0a{path[9:]}{mine}",
        "full-width dots": f"/files/{LIBRARY}/{quote('．．')}/{hers}{mine}",
        "another alphabet": f"/files/{LIBRARY}/{quote(path.replace('a', 'а'))}x{mine}",
        "capitals": f"/files/{LIBRARY}/{path.upper()}{mine}",
        "an absolute path": f"/files/{LIBRARY}//etc/passwd{mine}",
        "a hidden name": f"/files/{LIBRARY}/.{path}{mine}",
        "an unknown bucket": f"/files/objects/{path}{mine}",
        "no bucket": f"/files/{path}{mine}",
        "a changed signature": f"{bare}?token={expiry}-{mac[:-1]}{'A' if mac[-1] != 'A' else 'B'}",
        "a longer life": f"{bare}?token={int(expiry, 16) + 3600:x}-{mac}",
        "no signature": f"{bare}?token={expiry}-",
        "a signature of nobody": f"/files/{LIBRARY}/{hers}?token={expiry}-{weak}",
        "an empty token": f"{bare}?token=",
        "a token of no form": f"{bare}?token=%00%ff",
        "a huge expiry": f"{bare}?token={'f' * 400}-{mac}",
        "an ended link": ended,
    }


def test_nobody_opens_another_object_with_a_good_link(site, link, count):
    tries = forged(site, link)
    said = {(name, who): get(site, raw, who) for name, raw in tries.items() for who in EVERYBODY}

    assert {
        case: answer.status_code for case, answer in said.items() if answer.status_code not in {403, 404}
    } == {}
    assert {answer.headers["content-type"] for answer in said.values()} == {"application/json"}
    assert {answer.headers["cache-control"] for answer in said.values()} == {"no-store"}
    assert [case for case, answer in said.items() if set(answer.json()) != {"success", "error", "code"}] == []
    count(f"links: {len(said)} cases of forged links refused")


def test_whether_an_object_is_there_is_told_to_nobody_without_its_link(site):
    there = get(site, f"/files/{LIBRARY}/{site.world.work[OWNER].path}", "colleague")
    not_there = get(site, f"/files/{LIBRARY}/{site.world.work[OWNER].path[:-8]}0000.png", "colleague")

    assert (there.status_code, there.text) == (not_there.status_code, not_there.text)


def test_parts_of_a_file_need_the_link_too_and_say_how_they_are_kept(site, link):
    whole = get(site, link)
    part = get(site, link, Range="bytes=0-9")
    head = get(site, link, method="HEAD")

    assert (part.status_code, part.content) == (206, whole.content[:10])
    assert (head.content, head.headers["content-length"]) == (b"", str(len(whole.content)))
    assert get(site, link.partition("?")[0], Range="bytes=0-9").status_code == 403
    assert get(site, link.partition("?")[0], **{"If-None-Match": whole.headers["etag"]}).status_code == 403
    for answer in (whole, part, head):
        assert answer.headers["cache-control"].startswith("private")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


@pytest.mark.parametrize("bucket", BUCKETS)
def test_what_is_no_picture_is_never_a_page(site, bucket):
    path = f"{site.world.people[OWNER].id}/x.html"
    site.world.apart.storage.put(bucket, path, SECRET, "text/html")

    answer = get(site, signed(site, bucket, path))

    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


def test_only_the_public_bucket_is_open_without_a_link(site):
    path = "attribute-images/age/30s-anime-0a1b2c3d.jpg"
    for bucket in BUCKETS:
        site.world.apart.storage.put(bucket, path, SECRET, "image/jpeg")

    open_ones = {
        bucket for bucket in BUCKETS if get(site, f"/files/{bucket}/{path}", NOBODY).status_code == 200
    }

    assert open_ones == {PUBLIC_ASSETS}


@pytest.mark.parametrize(
    "way",
    [
        "/studio/gradio_api/file=",
        "/studio/gradio_api/file/",
        "/files/assets/",
        "/studio/static/",
        "/studio/assets/",
        "/studio-assets/x/",
        "/studio/svelte/",
    ],
)
def test_nothing_of_the_studios_home_or_of_the_machine_is_served_as_a_file(site, ground, way):
    home = Path(ground.home)
    (home / ".env").write_text("FAL_KEY=never")
    secrets = [
        home / ".env",
        home / "files.secret",
        home / "objects" / LIBRARY / site.world.work[OWNER].path,
        Path("/etc/passwd"),
    ]
    for place in secrets:
        assert place.exists()
        for spelling in (
            str(place),
            quote(str(place), safe=""),
            f"../../../../../../..{place}",
            f"%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e{place}",
        ):
            answer = get(site, f"{way}{spelling}", "admin")
            assert answer.status_code in {403, 404}, spelling
            assert place.read_bytes()[:20] not in answer.content
