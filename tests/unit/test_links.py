"""Signed links, the forms an address comes in, and the secret that signs."""

import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadRequest, NotAllowed, SetupFailed
from core.settings import Settings
from core.storage import LIBRARY, PUBLIC_ASSETS, REFERENCES, WORKSPACE, Address, External
from core.storage.links import Links, parse_address, read_or_make_secret

NOW = datetime(2026, 5, 4, 12, 34, 56, tzinfo=UTC)
LINKS = Links(b"0123456789abcdef0123456789abcdef")
OBJECT = (LIBRARY, "0f6c/portraits/11aa/22bb.png")
HOUR = timedelta(hours=1)


def taken_apart(link: str) -> tuple[str, str, str]:
    parts = urlsplit(link)
    bucket, _, path = unquote(parts.path).removeprefix("/files/").partition("/")
    return bucket, path, parse_qs(parts.query)["token"][0]


def test_a_link_is_relative_names_its_object_and_opens_it():
    link = LINKS.sign(OBJECT, NOW)

    assert link.startswith("/files/user-library/0f6c/portraits/11aa/22bb.png?token=")
    LINKS.check(*taken_apart(link), NOW)


def test_a_page_of_links_comes_at_once_and_by_address():
    other = (WORKSPACE, "0f6c/33cc_1.png")

    links = LINKS.sign_many([OBJECT, other], NOW)

    assert links == {OBJECT: LINKS.sign(OBJECT, NOW), other: LINKS.sign(other, NOW)}


def test_another_process_with_the_same_secret_takes_the_link_and_one_with_another_does_not():
    bucket, path, token = taken_apart(LINKS.sign(OBJECT, NOW))

    Links(b"0123456789abcdef0123456789abcdef").check(bucket, path, token, NOW)
    with pytest.raises(NotAllowed):
        Links(b"another secret, just as long ...").check(bucket, path, token, NOW)


@pytest.mark.parametrize(
    ("bucket", "life", "margin"),
    [
        (LIBRARY, 24 * HOUR, HOUR),
        (REFERENCES, 24 * HOUR, HOUR),
        (PUBLIC_ASSETS, 24 * HOUR, HOUR),
        (WORKSPACE, HOUR, HOUR / 2),
    ],
)
@given(at=st.datetimes(datetime(2026, 1, 1), datetime(2036, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_link_lives_at_most_its_life_and_at_least_until_its_margin(bucket, life, margin, at):
    link = taken_apart(LINKS.sign((bucket, "a/b.png"), at))

    LINKS.check(*link, at + margin - timedelta(seconds=1))
    with pytest.raises(NotAllowed) as ended:
        LINKS.check(*link, at + life + timedelta(seconds=1))
    assert ended.value.reason == "LINK_EXPIRED"


@pytest.mark.parametrize(("bucket", "slot"), [(LIBRARY, 23 * HOUR), (WORKSPACE, HOUR / 2)])
def test_a_link_stays_the_same_for_its_whole_slot_so_that_browsers_keep_the_picture(bucket, slot):
    start = datetime.fromtimestamp(NOW.timestamp() // slot.total_seconds() * slot.total_seconds(), UTC)
    address = (bucket, "a/b.png")

    first = LINKS.sign(address, start)

    assert LINKS.sign(address, start + slot - timedelta(seconds=1)) == first
    assert LINKS.sign(address, start + slot) != first


def test_a_changed_link_opens_nothing():
    bucket, path, token = taken_apart(LINKS.sign(OBJECT, NOW))
    expiry, mac = token.split("-", 1)
    later = f"{int(expiry, 16) + 3600:x}"
    spoiled = [
        "",
        "-",
        expiry,
        mac,
        f"-{mac}",
        f"{later}-{mac}",
        f"{expiry}-",
        f"{expiry}-{mac}A",
        f"{expiry}-{mac[:-1]}",
        f"{expiry}-{mac[::-1]}",
        "x" * 5000,
        f"{expiry}-ü",
        f"{'f' * 500}-{mac}",
        "\udcff-\udcff",
    ]

    for wrong in spoiled:
        with pytest.raises(NotAllowed) as refused:
            LINKS.check(bucket, path, wrong, NOW)
        assert refused.value.reason == "LINK_INVALID"


@pytest.mark.parametrize(
    ("bucket", "path"),
    [(LIBRARY, "0f6c/portraits/11aa/23bb.png"), (WORKSPACE, OBJECT[1]), (LIBRARY, "0f6c/portraits")],
)
def test_a_link_opens_no_other_object(bucket, path):
    _, _, token = taken_apart(LINKS.sign(OBJECT, NOW))

    with pytest.raises(NotAllowed) as refused:
        LINKS.check(bucket, path, token, NOW)

    assert refused.value.reason == "LINK_INVALID"


@pytest.mark.parametrize(
    "address", [("elsewhere", "a.png"), (LIBRARY, "../a.png"), (LIBRARY, ""), (LIBRARY, "ä.png")]
)
def test_what_is_no_address_is_neither_signed_nor_opened(address):
    with pytest.raises(NotAllowed):
        LINKS.sign(address, NOW)
    with pytest.raises(NotAllowed):
        LINKS.check(*address, "0-x", NOW)


def test_a_secret_shows_nowhere():
    assert "0123" not in repr(LINKS) + str(LINKS)


@pytest.mark.parametrize("path", ["u/a+b=c@d~e.png", "u/a.thumb.webp"])
def test_unusual_names_survive_the_way_through_an_address(path):
    link = LINKS.sign((LIBRARY, path), NOW)

    assert taken_apart(link)[1] == path
    assert parse_address(link) == (LIBRARY, path)


HOSTS = ("abc.supabase.co", "studio.example:7860")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("user-library/u1/a.png", (LIBRARY, "u1/a.png")),
        ("  user-library/u1/a.png\n", (LIBRARY, "u1/a.png")),
        ("u1/a.png", (LIBRARY, "u1/a.png")),
        ("a.png", (LIBRARY, "a.png")),
        ("/files/workspace-temp/u1/a.png?token=1-x", (WORKSPACE, "u1/a.png")),
        ("/files/workspace-temp/u1/a.png", (WORKSPACE, "u1/a.png")),
        ("http://studio.example:7860/files/user-library/u1/a.png?token=1-x", (LIBRARY, "u1/a.png")),
        (
            "https://abc.supabase.co/storage/v1/object/sign/user-library/u1/a.png?token=ey.J",
            (LIBRARY, "u1/a.png"),
        ),
        ("https://ABC.supabase.co/storage/v1/object/public/assets/x/a.jpg", (PUBLIC_ASSETS, "x/a.jpg")),
        (
            "https://abc.supabase.co/storage/v1/object/authenticated/user-library/u1/a.png",
            (LIBRARY, "u1/a.png"),
        ),
        (
            "https://abc.supabase.co/storage/v1/render/image/sign/user-library/u1/a.png?width=9",
            (LIBRARY, "u1/a.png"),
        ),
        ("https://abc.supabase.co/storage/v1/object/sign/user-library/u1/a%2Bb.png", (LIBRARY, "u1/a+b.png")),
    ],
)
def test_an_address_of_ours_is_understood_in_every_form_in_use(text, expected):
    address = parse_address(text, default_bucket=LIBRARY, own_hosts=HOSTS)

    assert address == Address(*expected)
    assert str(address) == "/".join(expected)


@pytest.mark.parametrize(
    "text",
    [
        "https://v3.fal.media/files/a.png",
        "http://evil.example/files/user-library/u1/a.png",
        "https://abc.supabase.co.evil.example/storage/v1/object/sign/user-library/u1/a.png",
        "https://abc.supabase.co@evil.example/storage/v1/object/sign/user-library/u1/a.png",
        "https://abc.supabase.co/storage/v1/object/sign/another-bucket/u1/a.png",
        "https://abc.supabase.co/rest/v1/jobs",
        "HTTPS://other.example/a.png",
    ],
)
def test_any_other_web_address_is_external_and_hides_itself(text):
    address = parse_address(text, default_bucket=LIBRARY, own_hosts=HOSTS)

    assert address == External(text)
    assert text not in repr(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "file:///etc/passwd",
        "//evil.example/a.png",
        "/etc/passwd",
        "../a.png",
        "user-library/../x",
        "user-library/",
        "user-library",
        "/files/",
        "/files/elsewhere/a",
        "/files/user-library/%2e%2e/a.png",
        "user-library//a",
        "http://[",
        "a\\b",
        "C:\\a.png",
        "https://abc.supabase.co/storage/v1/object/sign/user-library/%2e%2e/%2e%2e/x",
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises((BadRequest, NotAllowed)):
        parse_address(text, own_hosts=HOSTS)


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_refused_in_our_words(text):
    try:
        address = parse_address(text, default_bucket=LIBRARY, own_hosts=HOSTS)
    except (BadRequest, NotAllowed):
        return
    assert isinstance(address, Address | External)


def settings(home, **values) -> Settings:
    return Settings(_env_file=None, studio_home=home, **values)


def test_a_secret_from_the_settings_is_used_and_nothing_is_written(tmp_path):
    secret = read_or_make_secret(settings(tmp_path, files_secret="a secret of the team, long"))

    assert secret == b"a secret of the team, long"
    assert list(tmp_path.iterdir()) == []


def test_a_secret_is_made_once_for_the_owner_alone(tmp_path):
    home = tmp_path / "new" / "home"

    first, second = read_or_make_secret(settings(home)), read_or_make_secret(settings(home))

    assert first == second
    assert len(first) == 64
    files = list(home.iterdir())
    assert len(files) == 1
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600


def test_a_secret_that_others_could_read_is_closed_to_them(tmp_path):
    secret = read_or_make_secret(settings(tmp_path))
    file = next(tmp_path.iterdir())
    file.chmod(0o644)

    again = read_or_make_secret(settings(tmp_path))

    assert again == secret
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_processes_that_start_together_get_the_same_secret(tmp_path):
    program = (
        "import sys; from pathlib import Path; from core.settings import Settings\n"
        "from core.storage.links import read_or_make_secret\n"
        "sys.stdin.readline()\n"
        "print(read_or_make_secret(Settings(_env_file=None, studio_home=Path(sys.argv[1]))).decode())\n"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, tmp_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]

    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    secrets = [process.communicate(timeout=60)[0].strip() for process in started]

    assert len(set(secrets)) == 1
    assert len(secrets[0]) == 64


@pytest.mark.parametrize("secret", ["tiny", "fifteen chars.."])
def test_a_secret_too_short_to_sign_with_is_a_fault_of_the_installation(tmp_path, secret):
    with pytest.raises(SetupFailed) as failed:
        read_or_make_secret(settings(tmp_path, files_secret=secret))

    assert secret not in str(failed.value)


def test_a_home_that_cannot_be_written_is_named_with_the_way_out(tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(SetupFailed) as failed:
        read_or_make_secret(settings(tmp_path / "file"))

    assert "FILES_SECRET" in str(failed.value)
