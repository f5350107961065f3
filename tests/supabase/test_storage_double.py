"""The double answers as the real Storage was recorded to (reference/supabase.md §2–3), seen through the
`supabase` client that recorded it; where the client hides an answer, through plain HTTP.
"""

import time
from datetime import datetime

import httpx
import pytest
from storage3.exceptions import StorageApiError

from tests.emulator.wire import json_reply
from tests.supabase.storage_double import SECRET, StorageDouble

pytest_plugins = ["tests.supabase.fix_supabase"]

BUCKET = "user-library"
PERSON = "6f1c0a52-0000-4000-8000-000000000001"
OWN = f"{PERSON}/a.png"
RULES = {"select", "insert", "update", "delete"}
IMAGE = {"content-type": "image/png"}
REFUSED = ("403", "Unauthorized")
MISSING = ("404", "not_found")
NO_BUCKET = ("404", "Bucket not found")
TIME = "2026-01-01T00:00:00.000Z"


@pytest.fixture
def library(service):
    """One bucket and one object in it, written by the service."""
    service.create_bucket(BUCKET, options={"public": False})
    files = service.from_(BUCKET)
    files.upload(OWN, b"12345", IMAGE)
    return files


@pytest.fixture
def person(double, with_token):
    """A signed-in person, whom a test gives rights to."""
    return with_token(double.user_token(PERSON)).from_(BUCKET)


def refusal(act, *args):
    """What the client raises, as (status, code, message); the status with its type."""
    with pytest.raises(StorageApiError) as raised:
        act(*args)
    return raised.value.status, raised.value.code, raised.value.message


def asked(double):
    """The last request: operation, path below /storage/v1, its JSON."""
    call = double.calls[-1]
    return call.operation, call.request.path.removeprefix("/storage/v1"), call.request.json()


def raw(double, http, method, path, **more):
    """One request with the secret key, as the wire has it."""
    headers = {"Authorization": f"Bearer {double.secret_key}"} | more.pop("headers", {})
    return http.request(method, f"{double.url}/storage/v1{path}", headers=headers, **more)


def shape(row):
    """The row with its times checked and blanked."""
    for name, value in row.items():
        if name.endswith("_at") and value is not None:
            assert datetime.fromisoformat(value).tzinfo is not None
            assert value.endswith("Z")
    return {name: TIME if name.endswith("_at") and value else value for name, value in row.items()}


# --- buckets ------------------------------------------------------------------------------------------------


def test_a_bucket_is_made_shown_changed_emptied_and_deleted(double, service, http):
    limits = {"public": False, "file_size_limit": 1_000_000, "allowed_mime_types": ["image/*"]}
    told = {"id": BUCKET, "name": BUCKET, "owner": "", **limits, "created_at": TIME, "updated_at": TIME}

    assert service.create_bucket(BUCKET, options=limits) == {"name": BUCKET}
    assert asked(double)[2] == {"id": BUCKET, "name": BUCKET, **limits}
    assert shape(raw(double, http, "GET", f"/bucket/{BUCKET}").json()) == told
    assert [shape(one) for one in raw(double, http, "GET", "/bucket").json()] == [
        {**told, "type": "STANDARD"}
    ]
    assert service.update_bucket(BUCKET, {"public": True}) == {"message": "Successfully updated"}
    assert service.get_bucket(BUCKET).public
    assert service.empty_bucket(BUCKET) == {
        "message": "Empty bucket has been queued. Completion may take up to an hour."
    }
    assert service.delete_bucket(BUCKET) == {"message": "Successfully deleted"}
    assert service.list_buckets() == []


def test_a_bucket_made_twice_badly_named_missing_or_full_is_refused(double, service, library, http):
    assert refusal(service.create_bucket, BUCKET)[:2] == ("409", "Duplicate")
    assert refusal(service.create_bucket, "bad/näme")[:2] == ("400", "Invalid Input")
    assert refusal(service.get_bucket, "elsewhere")[:2] == NO_BUCKET
    assert refusal(service.delete_bucket, BUCKET)[:2] == ("409", "ResourceNotEmpty")

    twice = raw(double, http, "POST", "/bucket", json={"id": BUCKET, "name": BUCKET})
    assert (twice.status_code, twice.json()["code"]) == (400, "BucketAlreadyExists")


def test_people_see_no_buckets_and_make_none(double, with_token, library):
    person = with_token(double.user_token(PERSON))

    assert person.list_buckets() == []
    assert refusal(person.get_bucket, BUCKET)[:2] == NO_BUCKET
    assert refusal(person.create_bucket, "mine")[:2] == REFUSED


# --- objects ------------------------------------------------------------------------------------------------


def test_an_upload_is_a_form_whose_first_part_is_the_cache_time(double, library):
    answer = library.upload(
        "u1/meta.png", b"12345", {**IMAGE, "cache-control": "60", "metadata": {"n": 1}, "upsert": "true"}
    )

    call = double.calls[-1]
    assert (call.operation, call.request.method) == ("upload", "POST")
    assert call.request.headers["x-upsert"] == "true"
    body = call.request.body
    assert (
        body.index(b'name="cacheControl"')
        < body.index(b'name="metadata"')
        < body.index(b'name="file"; filename="meta.png"')
    )
    assert (answer.path, answer.full_path) == ("u1/meta.png", f"{BUCKET}/u1/meta.png")


def test_an_upload_names_its_key_and_id(double, library, http):
    form = {"files": {"file": ("b.png", b"x", "image/png")}, "data": {"cacheControl": "3600"}}

    answer = raw(double, http, "POST", f"/object/{BUCKET}/u1//b.png", **form)

    assert answer.status_code == 200
    assert set(answer.json()) == {"Key", "Id"}
    assert answer.json()["Key"] == f"{BUCKET}/u1/b.png"


def test_a_second_upload_is_a_duplicate_and_an_update_replaces(double, library, http):
    assert refusal(library.upload, OWN, b"new", IMAGE) == ("409", "Duplicate", "The resource already exists")
    assert library.download(OWN) == b"12345"

    library.update(OWN, b"newer", IMAGE)
    assert double.calls[-1].request.method == "PUT"
    assert "x-upsert" not in double.calls[-1].request.headers
    library.upload(OWN, b"newest", {**IMAGE, "upsert": "true"})

    assert library.download(OWN) == b"newest"
    assert refusal(library.update, "u1/none.png", b"x", IMAGE)[:2] == MISSING


def test_a_download_brings_bytes_and_the_recorded_headers(double, library, http):
    answer = raw(double, http, "GET", f"/object/{BUCKET}/{OWN}")

    assert answer.content == b"12345"
    assert answer.headers["etag"] == '"827ccb0eea8a706c4c34a16891f84e7b"'
    assert answer.headers["cache-control"] == "max-age=3600"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-robots-tag"] == "none"
    assert answer.headers["last-modified"].endswith("GMT")
    again = raw(
        double, http, "GET", f"/object/{BUCKET}/{OWN}", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    part = raw(double, http, "GET", f"/object/{BUCKET}/{OWN}", headers={"Range": "bytes=1-2"})
    assert (part.status_code, part.content) == (206, b"23")


def test_info_tells_of_one_object(library):
    library.upload("u1/meta.png", b"12345", {**IMAGE, "cache-control": "60", "metadata": {"n": 1}})

    told = library.info("u1/meta.png")

    assert set(told) == {
        *("id", "name", "version", "bucket_id", "size", "content_type", "cache_control", "etag", "metadata"),
        *("last_modified", "created_at"),
    }
    assert {name: told[name] for name in ("name", "bucket_id", "size", "content_type", "cache_control")} == {
        "name": "u1/meta.png",
        "bucket_id": BUCKET,
        "size": 5,
        "content_type": "image/png",
        "cache_control": "max-age=60",
    }
    assert told["metadata"] == {"n": 1}
    assert library.exists("u1/meta.png")
    assert not library.exists("u1/none.png")


def test_a_listing_is_one_folder_with_names_relative_to_it(double, library):
    for name in ("u1/b.png", "u1/a.png", "u1/deep/c.png", "u10/d.png"):
        library.upload(name, b"12", IMAGE)

    first, second, folder = library.list("u1")

    assert asked(double)[2] == {
        "limit": 100,
        "offset": 0,
        "sortBy": {"column": "name", "order": "asc"},
        "prefix": "u1",
    }
    assert (first["name"], second["name"]) == ("a.png", "b.png")
    assert set(first) == {"name", "id", "updated_at", "created_at", "last_accessed_at", "metadata"}
    assert set(first["metadata"]) == {
        *("eTag", "size", "mimetype", "cacheControl", "lastModified", "contentLength", "httpStatusCode"),
    }
    assert first["metadata"]["size"] == 2
    nothing = ("id", "updated_at", "created_at", "last_accessed_at", "metadata")
    assert folder == {"name": "deep", **dict.fromkeys(nothing)}
    assert [one["name"] for one in library.list("u1", {"limit": 1, "offset": 1})] == ["b.png"]


def test_a_listing_of_what_is_not_there_is_empty(service, library):
    assert library.list("nobody") == []
    assert service.from_("elsewhere").list("u1") == []


def test_a_copy_stays_in_its_bucket_and_refuses_what_stands(double, library):
    answer = library.copy(OWN, "u1/copy.png")

    assert asked(double) == (
        "copy",
        "/object/copy",
        {"bucketId": BUCKET, "sourceKey": OWN, "destinationKey": "u1/copy.png"},
    )
    assert set(answer) == {
        *("Key", "Id", "name", "bucket_id", "owner", "owner_id", "version", "id", "updated_at"),
        *("created_at", "last_accessed_at", "metadata"),
    }
    assert answer["Key"] == f"{BUCKET}/u1/copy.png"
    assert library.download("u1/copy.png") == b"12345"
    assert refusal(library.copy, OWN, "u1/copy.png")[:2] == ("409", "Duplicate")
    assert refusal(library.copy, "u1/none.png", "u1/x.png")[:2] == MISSING


def test_a_copy_crosses_buckets_and_replaces_where_the_http_call_says_so(double, service, library, http):
    service.create_bucket("other")
    service.from_("other").upload("b.png", b"old", IMAGE)
    body = {"bucketId": BUCKET, "sourceKey": OWN, "destinationBucket": "other", "destinationKey": "b.png"}

    refused = raw(double, http, "POST", "/object/copy", json=body)
    copied = raw(double, http, "POST", "/object/copy", json=body, headers={"x-upsert": "true"})

    assert (refused.status_code, refused.json()["code"]) == (400, "KeyAlreadyExists")
    assert copied.json()["Key"] == "other/b.png"
    assert service.from_("other").download("b.png") == b"12345"


def test_a_move_moves(double, library, http):
    library.upload("u1/there.png", b"there", IMAGE)

    assert library.move(OWN, "u1/moved.png") == {"message": "Successfully moved"}

    assert library.download("u1/moved.png") == b"12345"
    assert refusal(library.download, OWN)[:2] == MISSING
    assert refusal(library.move, "u1/moved.png", "u1/there.png")[:2] == ("409", "Duplicate")
    body = {"bucketId": BUCKET, "sourceKey": "u1/moved.png", "destinationKey": "u1/there.png"}
    assert raw(double, http, "POST", "/object/move", json=body).json()["code"] == "ResourceAlreadyExists"
    assert refusal(library.move, OWN, "u1/x.png")[:2] == MISSING


def test_a_removal_names_what_was_really_removed(double, library):
    rows = library.remove([OWN, "u1/none.png"])

    assert double.calls[-1].request.method == "DELETE"
    assert asked(double)[2] == {"prefixes": [OWN, "u1/none.png"]}
    assert [row["name"] for row in rows] == [OWN]
    assert {"bucket_id", "id", "version", "metadata"} <= set(rows[0])
    assert library.remove([OWN]) == []


# --- refusals -----------------------------------------------------------------------------------------------


def test_nearly_every_refusal_is_status_400_with_the_real_one_as_text(double, library, http):
    answer = raw(double, http, "GET", f"/object/{BUCKET}/u1/none.png")

    assert answer.status_code == 400
    assert answer.json() == {
        "statusCode": "404",
        "error": "not_found",
        "message": "Object not found",
        "code": "NoSuchKey",
    }
    assert refusal(library.download, "u1/none.png") == ("404", "not_found", "Object not found")
    assert refusal(library.info, "u1/none.png")[:2] == MISSING


def test_a_bucket_that_is_not_there_is_refused_by_name(service, library):
    elsewhere = service.from_("elsewhere")

    assert refusal(elsewhere.download, OWN)[:2] == NO_BUCKET
    assert refusal(elsewhere.upload, OWN, b"x", IMAGE)[:2] == NO_BUCKET


def test_the_limits_of_a_bucket_and_of_the_server_are_kept(double, service):
    service.create_bucket("small", options={"file_size_limit": 10, "allowed_mime_types": ["image/*"]})
    small = service.from_("small")

    assert refusal(small.upload, "a.png", b"x" * 11, IMAGE) == (
        "413",
        "Payload too large",
        "The object exceeded the maximum allowed size",
    )
    assert refusal(small.upload, "a.html", b"x", {"content-type": "text/html"}) == (
        "415",
        "invalid_mime_type",
        "mime type text/html is not supported",
    )
    double.most = 5
    assert refusal(small.upload, "a.png", b"x" * 6, IMAGE)[0] == "413"
    small.upload("page.png", b"<p>", IMAGE)  # the declared type is believed
    small.upload("nothing.png", b"", IMAGE)
    assert small.download("nothing.png") == b""


@pytest.mark.parametrize("name", ["ü", "#", "[", "]", "{", "}", "^", "~", "%", "<", ">", "|", '"', "\\", "`"])
def test_a_key_with_a_forbidden_character_is_refused(library, name):
    key = f"u1/{name}.png"

    status, code, message = refusal(library.upload, key, b"x", IMAGE)

    assert (status, code) == ("400", "InvalidKey")
    assert message.startswith("Invalid key: ")


@pytest.mark.parametrize("name", [*"!-.*'()&$@=;:+,?_ ", "a b", "word9"])
def test_a_key_with_any_other_character_is_kept(library, name):
    key = f"u1/x{name}x.png"

    library.upload(key, b"kept", IMAGE)

    assert library.download(key) == b"kept"


def test_a_question_mark_breaks_the_signed_link(library, http):
    library.upload("u1/what?.png", b"x", IMAGE)

    link = library.create_signed_url("u1/what?.png", 60)["signedURL"]

    assert http.get(link).status_code == 400


def test_a_name_too_long_for_the_disk_is_a_failure_of_the_server(double, library, http):
    status, code, _ = refusal(library.upload, f"u1/{'x' * 256}", b"x", IMAGE)

    assert (status, code) == ("500", "Internal")


def test_an_empty_or_endless_request_is_refused(library):
    assert refusal(library.remove, [])[:2] == ("400", "Error")
    assert refusal(library.create_signed_urls, [], 60)[:2] == ("400", "Error")
    assert refusal(library.create_signed_urls, ["a.png"] * 1001, 60)[:2] == ("400", "Error")
    assert refusal(library.create_signed_url, OWN, 0)[:2] == ("400", "Error")
    assert refusal(library.create_signed_url, OWN, 1.5)[:2] == ("400", "Error")


def test_an_unknown_route_has_its_real_status_as_a_number(double, http):
    answer = raw(double, http, "GET", "/x")

    assert answer.status_code == 404
    assert answer.json() == {"message": "Route GET:/x not found", "error": "Not Found", "statusCode": 404}


# --- who is asking ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["expired", "forged", "opaque at a bare server"])
def test_a_bad_token_is_refused_everywhere_but_on_a_download(double, library, with_token, kind):
    tokens = {
        "expired": (double.user_token(PERSON, seconds=-1), '"exp" claim timestamp check failed'),
        "forged": (double.user_token(PERSON, secret="x" * len(SECRET)), "signature verification failed"),
        "opaque at a bare server": ("sb_secret_of_another", "signature verification failed"),
    }
    token, why = tokens[kind]
    files = with_token(token).from_(BUCKET)

    for act, *args in (
        (files.list, "u1"),
        (files.upload, "u1/x.png", b"x", IMAGE),
        (files.create_signed_url, OWN, 60),
        (files.info, OWN),
        (files.remove, [OWN]),
        (files.copy, OWN, "u1/x.png"),
    ):
        assert refusal(act, *args) == (*REFUSED, why)
    assert refusal(files.download, OWN)[:2] == NO_BUCKET


def test_without_a_gateway_the_opaque_key_is_a_bad_token(http):
    with StorageDouble(gateway=False) as bare:
        answer = raw(bare, http, "GET", "/bucket")

    assert (answer.status_code, answer.json()["statusCode"]) == (400, "403")


def test_without_rules_a_person_sees_and_writes_nothing(library, person):
    assert person.list(PERSON) == []
    assert person.remove([OWN]) == []
    assert refusal(person.download, OWN)[:2] == MISSING
    assert refusal(person.info, OWN)[:2] == MISSING
    assert refusal(person.create_signed_url, OWN, 60)[:2] == MISSING
    assert refusal(person.upload, f"{PERSON}/new.png", b"x", IMAGE) == (
        *REFUSED,
        "new row violates row-level security policy",
    )
    assert library.download(OWN) == b"12345"


def test_with_all_rules_a_person_rules_their_own_folder_and_no_other(double, library, person):
    double.policies[BUCKET] = RULES
    library.upload("somebody/b.png", b"theirs", IMAGE)

    person.upload(f"{PERSON}/new.png", b"mine", IMAGE)
    person.copy(f"{PERSON}/new.png", f"{PERSON}/copy.png")
    person.move(f"{PERSON}/copy.png", f"{PERSON}/moved.png")

    assert [one["name"] for one in person.list(PERSON)] == ["a.png", "moved.png", "new.png"]
    assert person.list("somebody") == []
    assert person.remove(["somebody/b.png"]) == []
    assert refusal(person.upload, "somebody/x.png", b"x", IMAGE)[:2] == REFUSED
    assert refusal(person.copy, OWN, "somebody/x.png")[:2] == REFUSED
    assert refusal(person.move, OWN, "somebody/x.png")[:2] == REFUSED
    assert [row["owner"] for row in person.remove([f"{PERSON}/new.png"])] == [PERSON]


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ("select", {"upsert": REFUSED, "copy": MISSING, "move": MISSING, "remove": []}),
        ("insert", {"upsert": REFUSED, "copy": REFUSED, "move": None, "remove": [OWN]}),
        ("update", {"upsert": REFUSED, "copy": None, "move": MISSING, "remove": [OWN]}),
        ("delete", {"upsert": None, "copy": None, "move": None, "remove": []}),
    ],
)
def test_each_rule_that_is_missing_forbids_what_was_recorded(double, library, person, missing, expected):
    double.policies[BUCKET] = RULES - {missing}
    tries = {
        "upsert": lambda: person.upload(OWN, b"x", {**IMAGE, "upsert": "true"}),
        "copy": lambda: person.copy(OWN, f"{PERSON}/copy.png"),
        "move": lambda: person.move(OWN, f"{PERSON}/moved.png"),
    }

    came = {}
    for name, act in tries.items():
        try:
            act()
            came[name] = None
        except StorageApiError as error:
            came[name] = (error.status, error.code)
    if came["move"] is None:
        library.move(f"{PERSON}/moved.png", OWN)
    came["remove"] = [row["name"] for row in person.remove([OWN])]

    assert came == expected


# --- signed links -------------------------------------------------------------------------------------------


def test_a_signed_link_opens_without_a_key_until_the_object_is_removed(double, library, http):
    answer = library.create_signed_url(OWN, 60)

    assert asked(double) == ("sign", f"/object/sign/{BUCKET}/{OWN}", {"expiresIn": "60"})
    assert answer["signedURL"] == answer["signedUrl"]
    assert answer["signedURL"].startswith(f"{double.url}/storage/v1/object/sign/{BUCKET}/{OWN}?token=")
    shown = http.get(answer["signedURL"])
    assert shown.content == b"12345"
    assert "cache-control" not in shown.headers
    assert shown.headers["expires"].endswith("GMT")
    library.remove([OWN])
    gone = http.get(answer["signedURL"])
    assert (gone.status_code, gone.json()["error"]) == (400, "not_found")


def test_links_in_a_batch_are_mixed_with_what_could_not_be_signed(double, library):
    signed, missing = library.create_signed_urls([OWN, "u1/none.png"], 60)

    assert asked(double)[2] == {"paths": [OWN, "u1/none.png"], "expiresIn": "60"}
    assert signed["error"] is None
    assert signed["signedURL"].startswith(double.url)
    assert missing == {
        "error": "Either the object does not exist or you do not have access to it",
        "path": "u1/none.png",
        "signedURL": None,
        "signedUrl": None,
    }


def test_a_link_that_ended_was_changed_or_is_another_objects_is_refused(library, http):
    library.upload("u1/other.png", b"other", IMAGE)
    short = library.create_signed_url(OWN, 1)["signedURL"]
    link = library.create_signed_url(OWN, 60)["signedURL"]
    place, _, token = link.partition("?token=")
    changed = f"{place}?token={token[:-3]}{'AAA' if token[-3:] != 'AAA' else 'BBB'}"
    other = f"{place.replace(OWN, 'u1/other.png')}?token={token}"

    time.sleep(2.1)
    answers = {
        name: http.get(one) for name, one in (("short", short), ("changed", changed), ("other", other))
    }

    assert {answer.status_code for answer in answers.values()} == {400}
    assert answers["short"].json() == {
        "statusCode": "400",
        "error": "InvalidJWT",
        "message": '"exp" claim timestamp check failed',
        "code": "InvalidJWT",
    }
    assert (answers["changed"].json()["code"], answers["changed"].json()["message"]) == (
        "InvalidJWT",
        "signature verification failed",
    )
    assert (answers["other"].json()["code"], answers["other"].json()["message"]) == (
        "InvalidSignature",
        "Invalid signature",
    )


def test_a_public_link_opens_a_public_bucket_only(service, library, http):
    service.create_bucket("open", options={"public": True})
    service.from_("open").upload("a.png", b"seen", IMAGE)

    assert http.get(service.from_("open").get_public_url("a.png")).content == b"seen"
    private = http.get(library.get_public_url(OWN))

    assert (private.status_code, private.json()["error"]) == (400, "Bucket not found")


def test_a_link_to_upload_takes_one_file(double, library):
    link = library.create_signed_upload_url("u1/sent.png")

    answer = library.upload_to_signed_url("u1/sent.png", link["token"], b"sent", IMAGE)

    assert double.calls[-1].request.method == "PUT"
    assert answer.full_path == f"{BUCKET}/u1/sent.png"
    assert library.download("u1/sent.png") == b"sent"
    assert refusal(library.upload_to_signed_url, "u1/else.png", link["token"], b"x", IMAGE)[1] == (
        "InvalidSignature"
    )


# --- faults -------------------------------------------------------------------------------------------------


def test_a_gateways_page_becomes_a_number_and_an_internal_error(double, library):
    double.bad_gateway("download")

    status, code, message = refusal(library.download, OWN)

    assert (status, code) == (502, "InternalError")
    assert message.startswith("Unable to parse error message: <html>")
    assert library.download(OWN) == b"12345"


def test_json_without_an_error_becomes_a_number_too(double, library):
    double.fault("info", reply=json_reply({"message": "no"}, status=500))

    assert refusal(library.info, OWN)[:2] == (500, "InternalError")


def test_a_broken_connection_comes_through_as_the_transports_own_error(double, library):
    double.breaks("download")
    with pytest.raises(httpx.TransportError):
        library.download(OWN)

    double.fault("download", keep=2)
    with pytest.raises(httpx.TransportError):
        library.download(OWN)


def test_an_answer_lost_on_its_way_leaves_what_was_done(double, library):
    double.breaks("upload", done=True)

    with pytest.raises(httpx.TransportError):
        library.upload("u1/done.png", b"done", IMAGE)

    assert library.download("u1/done.png") == b"done"


def test_a_slow_server_is_slow(double, library):
    double.wait = 0.3
    began = time.monotonic()

    library.download(OWN)

    assert time.monotonic() - began >= 0.3
