"""References from a person's file to the provider: rights, owners, versions, the HTTP route, the way into an order."""

from __future__ import annotations

import base64
import contextlib
import select
import socket
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest
from PIL import Image
from psycopg import errors as pg

from core import characters, generation, images, references
from core.errors import BadImage, BadRequest, Conflict, NotAllowed, NotFound, PolicyRefused
from core.storage import LIBRARY, REFERENCES
from core.values import ConsistencyMethod, JobStatus, Role
from tests import builders
from tests.builders import a_character, a_finished_portrait, a_person, a_request, as_platform, one, rows
from tests.fix_services import served
from tests.unit.test_uploads import HEIC, JPEG, PNG, a_scene, encoded, with_secrets

NOBODY = uuid4()


@pytest.fixture
def character(services, ana):
    return a_character(ana, services)


def uploaded(character, person, services, data=PNG, name="portrait.png", **more):
    return references.upload(character.id, name, data, True, person, services, **more)


def fresh(character, person, services):
    return characters.load(character.id, person, services)


# ---- uploading


def test_an_upload_lies_in_the_owners_folder_under_its_own_hash(services, ana, character):
    reference = uploaded(character, ana, services, HEIC, "IMG_0412.HEIC")

    stored = services.storage.get(REFERENCES, reference.address.removeprefix(f"{REFERENCES}/"))
    picture = images.read_picture(stored)
    assert reference.address == f"{REFERENCES}/{ana.id}/{character.id}/{picture.sha256}.jpg"
    assert (picture.media_type, picture.width, picture.height) == ("image/jpeg", 256, 320)
    assert (reference.width, reference.height, reference.media_type) == (256, 320, "image/jpeg")
    assert reference.link.startswith(f"/files/{reference.address}?token=")


def test_an_upload_is_kept_with_who_confirmed_the_rights_and_when(services, ana, character):
    reference = uploaded(character, ana, services)

    row = one(
        services.db,
        """
        SELECT owner, character_id, uploaded_by, rights_confirmed_by, now() - rights_confirmed_at < interval '1 minute'
        FROM studio.reference_uploads WHERE id = %s
        """,
        (reference.id,),
    )
    event = one(services.db, "SELECT who, after FROM studio.audit_events WHERE action = 'reference_uploaded'")
    assert row == (ana.id, character.id, ana.id, ana.id, True)
    assert event[0] == ana.id
    assert event[1]["rights_confirmed"] is True


def test_without_a_confirmation_of_the_rights_nothing_is_kept(services, ana, character):
    with pytest.raises(BadRequest) as refused:
        references.upload(character.id, "a.png", PNG, False, ana, services)

    assert (refused.value.reason, refused.value.field) == ("RIGHTS_NOT_CONFIRMED", "rightsConfirmed")
    assert list(services.storage.list(REFERENCES)) == []
    assert rows(services.db, "SELECT FROM studio.reference_uploads") == []


def test_the_same_picture_twice_is_one_reference(services, ana, character):
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: uploaded(character, ana, services), range(4)))

    assert len({reference.id for reference in made}) == 1
    assert len(list(services.storage.list(REFERENCES))) == 1


def test_the_first_confirmation_of_a_picture_stands(build, ana, character):
    shared = build(team_sharing=True)
    mate = a_person(shared.db, "mate", Role.editor)
    first = uploaded(character, ana, shared)

    second = uploaded(character, mate, shared)

    confirmed = one(shared.db, "SELECT rights_confirmed_by FROM studio.reference_uploads")
    events = rows(
        shared.db, "SELECT who FROM studio.audit_events WHERE action = 'reference_uploaded' ORDER BY id"
    )
    assert second.id == first.id
    assert confirmed == ana.id
    assert [who for (who,) in events] == [ana.id, mate.id]


def test_an_upload_for_a_shared_character_lies_in_its_owners_folder(build, ana, character):
    shared = build(team_sharing=True)
    mate = a_person(shared.db, "mate", Role.editor)

    reference = uploaded(character, mate, shared)

    assert reference.address.split("/")[1] == str(ana.id)
    assert [ref.id for ref in references.recent(mate, shared)] == [reference.id]
    assert [ref.id for ref in references.recent(ana, shared)] == [reference.id]


@pytest.mark.parametrize(
    "name",
    ["../../../etc/passwd.png", "/etc/cron.d/x.png", "a\\b\\c.png", "%2e%2e/x.png", "ünï çødé 🦩.png", ""],
)
def test_a_files_name_is_never_part_of_a_path(services, ana, character, name):
    uploaded(character, ana, services, name=name)

    (kept,) = services.storage.list(REFERENCES)
    assert kept.path == f"{ana.id}/{character.id}/{images.read_upload(PNG).sha256}.png"


@pytest.mark.parametrize("name", ["x" * 256 + ".png", "two\nlines.png", "nul\0.png"])
def test_a_files_name_that_is_none_is_refused(services, ana, character, name):
    with pytest.raises(BadRequest) as refused:
        uploaded(character, ana, services, name=name)

    assert refused.value.reason == "FILE_NAME"


@pytest.mark.parametrize("name", ["schoolgirl-12yo.png", "Mandy (13).png", "a seventeen year old.webp"])
def test_a_files_name_is_looked_at_by_the_policy(services, ana, character, name):
    with pytest.raises(PolicyRefused) as refused:
        uploaded(character, ana, services, name=name)

    assert (refused.value.reason, refused.value.field) == ("POLICY_MINOR", "file name")
    assert name[:6] not in refused.value.sentence
    assert list(services.storage.list(REFERENCES)) == []


@pytest.mark.parametrize(
    "name",
    [
        "IMG_0016.HEIC", "IMG_1217.jpg", "DSC00012.JPG", "PXL_20160412_101112345.jpg", "20170513_121314.jpg",
        "photo-2015-06-17-at-16.12.11.png", "Screenshot 2026-11-20 at 14.15.16.png", "image (13).webp",
        "WhatsApp Image 2016-05-14 at 12.13.14.jpeg", "_MG_1516.jpg", "portrait_v12_final.png",
    ],
)  # fmt: skip
def test_what_cameras_and_phones_call_their_pictures_is_innocent(services, ana, character, name):
    assert uploaded(character, ana, services, JPEG, name=name).media_type == "image/jpeg"


def test_a_picture_that_cannot_be_read_is_refused_in_words_and_leaves_nothing(services, ana, character):
    with pytest.raises(BadImage) as refused:
        uploaded(character, ana, services, PNG[:-40])

    assert refused.value.reason == "IMAGE_BROKEN"
    assert list(services.storage.list(REFERENCES)) == []


def test_what_was_changed_about_a_picture_is_told(services, ana, character):
    reference = uploaded(character, ana, services, JPEG, "scan.png")

    assert [note.code for note in reference.notes] == ["EXTENSION_DIFFERS"]


def test_where_somebody_lives_does_not_reach_the_storage(services, ana, character):
    reference = uploaded(character, ana, services, with_secrets("JPEG"), "a.jpg")

    stored = services.storage.get(REFERENCES, reference.address.removeprefix(f"{REFERENCES}/"))
    assert b"Lighthouse-Row-7" not in stored


# ---- who may


def test_only_editors_upload(services, ana, character, customer):
    qa = a_person(services.db, "qa", Role.qa)

    for person in (customer, qa):
        with pytest.raises(NotAllowed):
            uploaded(character, person, services)


def test_nobody_uploads_for_a_strangers_character(services, ana, ben, character):
    with pytest.raises(NotFound):
        uploaded(character, ben, services)

    auditing_editor = a_person(services.db, "both", Role.editor, Role.qa)
    with pytest.raises(NotAllowed):
        uploaded(character, auditing_editor, services)
    assert list(services.storage.list(REFERENCES)) == []


def test_nobody_sees_chooses_or_erases_a_strangers_upload(services, ana, ben, character):
    reference = uploaded(character, ana, services)
    own = a_character(ben, services)

    assert references.recent(ben, services) == []
    with pytest.raises(NotFound):
        references.choose(own.id, reference.id, version=own.version, person=ben, services=services)
    with pytest.raises(NotFound):
        references.erase(reference.id, ben, services)
    assert services.storage.get(REFERENCES, reference.address.removeprefix(f"{REFERENCES}/"))


def test_another_owners_picture_is_no_reference_and_the_attempt_is_noted(build, ana, character):
    shared = build(team_sharing=True)
    mate = a_person(shared.db, "mate", Role.editor)
    theirs = uploaded(a_character(mate, shared), mate, shared)

    with pytest.raises(NotAllowed) as refused:
        references.choose(character.id, theirs.id, version=character.version, person=ana, services=shared)

    who, row = one(
        shared.db, "SELECT who, row_id FROM studio.audit_events WHERE action = 'foreign_path_refused'"
    )
    assert refused.value.status == 403
    assert (who, row) == (ana.id, theirs.address)
    assert fresh(character, ana, shared).reference_image_url is None


def test_the_database_holds_the_same_line(services, ana, ben, customer, character, dsn):
    reference = uploaded(character, ana, services)
    sha = "0" * 64
    keep = "SELECT studio.keep_reference(%s, %s, 'image/png', 10, 10, 10)"

    for person in (ben, customer):
        with as_platform(dsn, "authenticated", person) as conn:
            assert conn.execute("SELECT FROM studio.reference_uploads").rowcount == 0
            with pytest.raises(pg.DatabaseError) as refused:
                conn.execute(keep, (character.id, sha))
            assert refused.value.sqlstate in {"PS403", "PS404"}
            with pytest.raises(pg.DatabaseError) as refused:
                conn.execute("SELECT studio.erase_reference(%s)", (reference.id,))
            assert refused.value.sqlstate == "PS404"
    with as_platform(dsn, "anon") as conn, pytest.raises(pg.InsufficientPrivilege):
        conn.execute("SELECT FROM studio.reference_uploads")


# ---- becoming the character's reference


def test_an_upload_becomes_the_reference_only_when_asked(services, ana, character):
    kept = uploaded(character, ana, services)

    assert kept.character is None
    assert fresh(character, ana, services).reference_image_url is None

    used = uploaded(character, ana, services, use=True)

    now = fresh(character, ana, services)
    assert (now.reference_image_url, now.reference_is_auto, now.match_reference) == (
        used.address,
        False,
        False,
    )
    assert used.character == now


def test_a_reference_that_a_person_chose_is_not_replaced_by_a_new_portrait(services, ana, character):
    used = uploaded(character, ana, services, use=True)

    a_finished_portrait(ana, services, character)

    assert fresh(character, ana, services).reference_image_url == used.address


def test_over_a_version_that_is_gone_the_upload_is_kept_and_the_character_left_alone(
    services, ana, character
):
    characters.save(character.id, {"name": "June"}, version=character.version, person=ana, services=services)

    with pytest.raises(Conflict):
        uploaded(character, ana, services, use=True, version=character.version)

    assert len(references.recent(ana, services)) == 1
    assert fresh(character, ana, services).reference_image_url is None


def test_a_recent_upload_serves_another_character_of_the_same_owner(services, ana, character):
    reference = uploaded(character, ana, services)
    other = a_character(ana, services, name="Barnaby")

    changed = references.choose(other.id, reference.id, version=other.version, person=ana, services=services)

    assert changed.reference_image_url == reference.address
    assert [ref.id for ref in references.recent(ana, services, character_id=other.id)] == [reference.id]


def test_a_portrait_and_its_library_item_can_be_the_reference(services, ana, character):
    done = a_finished_portrait(ana, services, character)
    item = one(services.db, "SELECT id FROM user_library")
    now = fresh(character, ana, services)

    by_item = references.pick_from_library(
        character.id, item, version=now.version, person=ana, services=services
    )
    by_portrait = references.pick_portrait(
        character.id, done.portrait_id, version=now.version, person=ana, services=services
    )

    assert by_item.reference_image_url == by_portrait.reference_image_url == f"{LIBRARY}/{done.storage_path}"
    assert not by_item.reference_is_auto


def test_what_is_not_in_the_library_cannot_be_picked(services, ana, ben, character):
    done = a_finished_portrait(ben, services, a_character(ben, services))
    item = one(services.db, "SELECT id FROM user_library")
    call = {"version": character.version, "person": ana, "services": services}

    for missing in (item, NOBODY):
        with pytest.raises(NotFound):
            references.pick_from_library(character.id, missing, **call)
    for missing in (done.portrait_id, NOBODY):
        with pytest.raises(NotFound):
            references.pick_portrait(character.id, missing, **call)


def test_a_picture_whose_object_is_gone_is_said_to_be_missing(services, ana, character):
    reference = uploaded(character, ana, services)
    services.storage.delete(REFERENCES, reference.address.removeprefix(f"{REFERENCES}/"))

    with pytest.raises(BadRequest) as refused:
        references.choose(
            character.id, reference.id, version=character.version, person=ana, services=services
        )

    assert refused.value.reason == "REFERENCE_MISSING"


def test_removing_takes_the_reference_off_and_image_match_with_it(services, ana, character):
    used = uploaded(character, ana, services, use=True)
    matched = references.choose_match(
        character.id, True, version=used.character.version, person=ana, services=services
    )

    left = references.remove(character.id, version=matched.version, person=ana, services=services)

    assert (left.reference_image_url, left.match_reference) == (None, False)
    assert [ref.id for ref in references.recent(ana, services)] == [used.id]


def test_image_match_is_on_only_because_a_person_said_so(services, ana, character):
    used = uploaded(character, ana, services, use=True)
    call = {"person": ana, "services": services}

    on = references.choose_match(character.id, True, version=used.character.version, **call)
    off = references.choose_match(character.id, False, version=on.version, **call)

    assert not used.character.match_reference
    assert on.match_reference
    assert on.version == used.character.version + 1
    assert not off.match_reference
    with pytest.raises(Conflict):
        references.choose_match(character.id, True, version=on.version, **call)


def test_image_match_needs_something_to_match(services, ana, character):
    with pytest.raises(BadRequest) as refused:
        references.choose_match(character.id, True, version=character.version, person=ana, services=services)

    assert refused.value.reason == "NO_REFERENCE"


def test_an_erased_upload_is_gone_everywhere_and_may_come_back(services, ana, character):
    used = uploaded(character, ana, services, use=True)

    references.erase(used.id, ana, services)
    references.erase(used.id, ana, services)

    assert list(services.storage.list(REFERENCES)) == []
    assert references.recent(ana, services) == []
    assert fresh(character, ana, services).reference_image_url is None
    again = uploaded(character, ana, services)
    assert again.id == used.id
    assert len(list(services.storage.list(REFERENCES))) == 1


def test_the_recent_ones_come_newest_first_and_not_all_at_once(services, ana, character):
    made = [uploaded(character, ana, services, encoded(a_scene((200 + n, 220)), "PNG")) for n in range(4)]

    shown = references.recent(ana, services, limit=3)

    assert [ref.id for ref in shown] == [ref.id for ref in reversed(made[1:])]


def test_the_models_that_can_match_are_counted_and_named(services, ana):
    serving = references.serving(ana, services)

    able = [
        m
        for m in generation.models_for(ana, services)
        if m.model.provider == "fal" and m.model.capabilities.supports_i2i
    ]
    assert serving.count == len(able) == 4
    assert {choice.model.id for choice in serving.models} == {choice.model.id for choice in able}
    assert serving.words == "4 models can match a picture"


def test_without_a_provider_no_model_can_match(build):
    bare = build(providers=("sketch",))
    lone = a_person(bare.db, "lone", Role.editor)

    assert references.serving(lone, bare).words == "No model can match a picture now"


# ---- into an order


def ask_for_a_match(character, person, services):
    """A job in image match mode, done or failed by the end."""
    now = fresh(character, person, services)
    references.choose_match(character.id, True, version=now.version, person=person, services=services)
    job_id = generation.request(a_request(character), person, services).job_id
    builders.work(services)
    return generation.outcome(job_id, person, services).job


def test_an_uploaded_heic_reaches_the_provider_as_the_picture_that_was_kept(services, ana, character, fal):
    used = uploaded(character, ana, services, HEIC, "a.heic", use=True)

    job = ask_for_a_match(character, ana, services)

    (line,) = fal.counts()["requests"]
    (sent,) = fal.request(line["id"])["body"]["image_urls"]
    kept = services.storage.get(REFERENCES, used.address.removeprefix(f"{REFERENCES}/"))
    assert job.status is JobStatus.completed
    assert job.metadata["consistency_method"] == ConsistencyMethod.i2i
    assert base64.b64decode(sent.partition(",")[2]) == kept


def a_large_upload():
    noise = Image.merge("RGB", [Image.effect_noise((1100, 1100), 60 + 20 * band) for band in range(3)])
    return encoded(noise, "PNG")


def test_a_large_reference_travels_by_our_own_link_where_people_reach_us_from_outside(build, fal):
    outside = build(public_url="https://studio.portraits.org")
    fal.fault("webhook", "lost", count=None)  # that address is nobody's
    ana = a_person(outside.db, "ana", Role.editor)
    character = a_character(ana, outside)
    used = uploaded(character, ana, outside, a_large_upload(), use=True)

    job = ask_for_a_match(character, ana, outside)

    (line,) = fal.counts()["requests"]
    (sent,) = fal.request(line["id"])["body"]["image_urls"]
    assert job.status is JobStatus.completed
    assert sent.startswith(f"https://studio.portraits.org/files/{used.address}?token=")
    with served(outside) as app:
        there = app.as_(None).get(sent.removeprefix("https://studio.portraits.org"))
    assert there.status_code == 200
    assert there.content == outside.storage.get(REFERENCES, used.address.removeprefix(f"{REFERENCES}/"))
    assert "token=" not in str(rows(outside.db, "SELECT to_jsonb(j) FROM jobs j"))


def test_a_large_reference_is_uploaded_to_the_provider_where_nobody_reaches_us(services, ana, character, fal):
    used = uploaded(character, ana, services, a_large_upload(), use=True)

    job = ask_for_a_match(character, ana, services)

    (line,) = fal.counts()["requests"]
    (sent,) = fal.request(line["id"])["body"]["image_urls"]
    assert job.status is JobStatus.completed
    assert sent.startswith(f"{fal.url}/storage/kept/")
    stored = services.storage.get(REFERENCES, used.address.removeprefix(f"{REFERENCES}/"))
    assert httpx.get(sent, trust_env=False).content == stored


@pytest.mark.parametrize(
    ("public_url", "reached"),
    [
        ("https://studio.portraits.org", True),
        ("https://studio.portraits.org/", True),
        ("https://93.184.215.14:8443", True),
        ("http://studio.portraits.org", False),
        ("https://localhost:7860", False),
        ("https://studio", False),
        ("https://studio.local", False),
        ("https://studio.internal", False),
        ("https://127.0.0.1", False),
        ("https://10.1.2.3", False),
        ("https://192.168.1.7", False),
        ("https://[::1]", False),
        ("https://[fd00::7]", False),
        ("https://169.254.169.254", False),
        (None, False),
    ],
)  # fmt: skip
def test_our_link_is_used_only_where_a_provider_could_reach_it(build, public_url, reached):
    services = build(public_url=public_url)

    link = references.outside_link((REFERENCES, "a/b/c.png"), services)

    assert bool(link) is reached
    assert "//files" not in link.removeprefix("https://")


def test_a_reference_that_was_erased_before_its_turn_fails_the_job_and_costs_nothing(
    services, ana, character, fal
):
    used = uploaded(character, ana, services, use=True)
    now = fresh(character, ana, services)
    references.choose_match(character.id, True, version=now.version, person=ana, services=services)
    job_id = generation.request(a_request(character), ana, services).job_id
    references.erase(used.id, ana, services)

    builders.work(services)

    job = generation.outcome(job_id, ana, services).job
    assert (job.status, job.error_code) == (JobStatus.failed, "REFERENCE_MISSING")
    assert fal.counts()["submits"] == 0


def test_a_reference_that_cannot_be_read_fails_the_job_in_its_own_words(services, ana, character, fal):
    used = uploaded(character, ana, services, use=True)
    services.storage.put(REFERENCES, used.address.removeprefix(f"{REFERENCES}/"), HEIC, "image/heic")

    job = ask_for_a_match(character, ana, services)

    assert (job.status, job.error_code) == (JobStatus.failed, "REFERENCE_BROKEN")
    assert "Choose another" in job.error_message
    assert fal.counts()["submits"] == 0


# ---- HTTP

UPLOAD = "/references"


def query(character, **more):
    return {"characterId": str(character.id), "fileName": "a.png", "rightsConfirmed": "true"} | more


def post(client, character, content=PNG, kind="image/png", **more):
    return client.post(
        UPLOAD, params=query(character, **more), content=content, headers={"Content-Type": kind}
    )


def test_a_picture_is_uploaded_used_listed_and_fetched_over_http(app, ana, character):
    client = app.as_(ana)

    answer = post(client, character, HEIC, "image/heic", fileName="IMG_1.HEIC", use="true")
    listed = client.get(UPLOAD, params={"characterId": str(character.id)}).json()

    body = answer.json()
    assert answer.status_code == 201
    assert body["success"]
    assert body["used"]
    assert (body["mediaType"], body["width"], body["height"]) == ("image/jpeg", 256, 320)
    assert body["referenceImageUrl"].startswith(f"{REFERENCES}/{ana.id}/{character.id}/")
    assert app.as_(None).get(body["imageUrl"]).headers["content-type"] == "image/jpeg"
    assert [one["id"] for one in listed["references"]] == [body["id"]]
    assert len(listed["models"]) == 4
    assert listed["modelsInWords"] == "4 models can match a picture"


REFUSALS = {
    "rights": ({"rightsConfirmed": "false"}, PNG, "image/png", 400, "RIGHTS_NOT_CONFIRMED"),
    "no character": ({"characterId": str(NOBODY)}, PNG, "image/png", 404, "NOT_FOUND"),
    "no id": ({"characterId": "../x"}, PNG, "image/png", 400, "BAD_REQUEST"),
    "a name of lines": ({"fileName": "a\nb"}, PNG, "image/png", 400, "FILE_NAME"),
    "a name that tells": ({"fileName": "12 year old.png"}, PNG, "image/png", 422, "POLICY_MINOR"),
    "a broken picture": ({}, PNG[:-40], "image/png", 422, "IMAGE_BROKEN"),
    "no picture": ({}, b"<html></html>", "image/png", 422, "NOT_AN_IMAGE"),
    "nothing": ({}, b"", "image/png", 400, "BAD_REQUEST"),
    "a form": ({}, PNG, "multipart/form-data; boundary=x", 415, "NOT_A_PICTURE"),
    "a plain text": ({}, PNG, "text/plain", 415, "NOT_A_PICTURE"),
    "a form's fields": ({}, PNG, "application/x-www-form-urlencoded", 415, "NOT_A_PICTURE"),
    "JSON": ({}, b"{}", "application/json", 415, "NOT_A_PICTURE"),
    "an old version": ({"use": "true", "version": "99"}, PNG, "image/png", 409, "CONFLICT"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_is_refused_over_http_is_said_in_the_usual_form(app, ana, character, kind):
    more, content, media_type, status, code = REFUSALS[kind]

    answer = post(app.as_(ana), character, content, media_type, **more)

    body = answer.json()
    assert (answer.status_code, body["success"], body["code"]) == (status, False, code)
    assert len(body["error"]) > 20


def test_who_is_not_signed_in_uploads_and_sees_nothing(app, character, services):
    answers = [post(app.as_(None), character), app.as_(None).get(UPLOAD)]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(401, "MISSING_AUTH")] * 2
    assert list(services.storage.list(REFERENCES)) == []


def test_a_stranger_uploads_nothing_and_sees_no_list(app, ben, character, services):
    client = app.as_(ben)

    answers = [post(client, character), client.get(UPLOAD, params={"characterId": str(character.id)})]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert list(services.storage.list(REFERENCES)) == []


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://127.0.0.1:1"])
def test_another_web_page_uploads_nothing(app, ana, character, services, origin):
    answer = post(app.as_(ana, Origin=origin), character)

    assert (answer.status_code, answer.json()["code"]) == (403, "FOREIGN_ORIGIN")
    assert list(services.storage.list(REFERENCES)) == []


def wire_to(app, person, character, length_header):
    """A connection with the head of an upload already sent."""
    host, _, port = app.url.removeprefix("http://").partition(":")
    app.gate.let_in(person)
    target = f"{UPLOAD}?characterId={character.id}&rightsConfirmed=true"
    head = (
        f"POST {target} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {person.name}\r\n"
        f"Content-Type: image/png\r\n{length_header}\r\n\r\n"
    )
    wire = socket.create_connection((host, int(port)), timeout=10)
    wire.sendall(head.encode())
    return wire


def test_a_body_that_announces_too_much_is_refused_before_it_is_read(app, ana, character):
    with wire_to(app, ana, character, "Content-Length: 999999999") as wire:
        told = wire.recv(4096)

    assert b" 413 " in told.split(b"\r\n", 1)[0]
    assert b"TOO_LARGE" in told


def test_a_body_that_never_ends_is_refused_once_it_is_too_long(app, ana, character):
    chunk = b"40000\r\n" + bytes(0x40000) + b"\r\n"
    sent = 0

    with wire_to(app, ana, character, "Transfer-Encoding: chunked") as wire:
        with contextlib.suppress(ConnectionError):  # refused while we still send: what was told lies ready
            while sent < 400 and not select.select([wire], [], [], 0)[0]:
                wire.sendall(chunk)
                sent += 1
        told = wire.recv(4096)

    assert b" 413 " in told.split(b"\r\n", 1)[0]
    assert 80 <= sent < 200  # of a quarter of a megabyte each; some lie in the sockets' own buffers


def test_an_upload_that_breaks_off_leaves_nothing(app, ana, character, services, eventually):
    with wire_to(app, ana, character, f"Content-Length: {len(PNG)}") as wire:
        wire.sendall(PNG[: len(PNG) // 2])

    assert app.as_(ana).get(UPLOAD).json()["references"] == []
    assert list(services.storage.list(REFERENCES)) == []
