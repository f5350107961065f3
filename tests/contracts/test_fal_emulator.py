"""The emulator is worth what fal's own client says of it (providers.md §6.3), and what it says of itself."""

from __future__ import annotations

import hashlib
import io
import json
import os
import ssl
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.emulator import KEY, ROOT, Emulator, EmulatorProcess
from tests.emulator.tls import make_certificate

pytest_plugins = ["tests.contracts.fix_providers"]

HEADERS = {"Authorization": f"Key {KEY}"}
MODEL = "fal-ai/flux/dev"
BODY = {
    "prompt": "an adult gardener toasting a pumpkin",
    "image_size": {"width": 512, "height": 768},
    "seed": 5,
}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def running_over_tls(certificate):
    with Emulator(certificate=certificate) as emulator:
        yield emulator


@pytest.fixture
def over_tls(running_over_tls):
    running_over_tls.reset()
    return running_over_tls


@pytest.fixture
def fal_client_says(over_tls, certificate):
    """Runs a script with fal's own client in a process of its own: it reads its hosts when imported."""
    host = over_tls.url.removeprefix("https://")

    def run(script: str, *, key: str = KEY) -> dict[str, object]:
        names = {
            "FAL_KEY": key,
            "FAL_RUN_HOST": host,
            "FAL_QUEUE_RUN_HOST": host,
            "SSL_CERT_FILE": str(certificate),
        }
        head = f"import fal_client, json\nBODY = {BODY!r}\nMODEL = {MODEL!r}\n"
        done = subprocess.run(
            [sys.executable, "-c", head + textwrap.dedent(script)],
            env={**os.environ, **names, "NO_PROXY": "localhost,127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture
def caller(emulator):
    with httpx.Client(base_url=emulator.url, headers=HEADERS, timeout=10, trust_env=False) as client:
        yield client


def make(caller, **more):
    """Submits and returns the reply."""
    return caller.post(f"/{MODEL}", json={**BODY, **more}).raise_for_status().json()


def picture_of(caller, reply):
    """The media answer of a finished request, fetched without the key."""
    result = caller.get(reply["response_url"]).raise_for_status().json()
    return httpx.get(result["images"][0]["url"], trust_env=False)


# ---- fal's own client


def test_fals_own_client_submits_follows_and_fetches(fal_client_says, over_tls):
    over_tls.set(latency=0.3, queue_positions=2)

    told = fal_client_says("""
        handle = fal_client.submit(MODEL, arguments=BODY)
        stages = [type(event).__name__ for event in handle.iter_events(with_logs=True)]
        result = handle.get()
        print(json.dumps({"id": handle.request_id, "stages": stages, "result": result}))
    """)

    assert told["stages"][:2] == ["Queued", "Queued"]
    assert told["stages"][-1] == "Completed"
    assert told["result"]["seed"] == 5
    assert told["result"]["images"][0]["width"] == 512
    assert over_tls.request(told["id"])["body"] == BODY


def test_fals_own_client_subscribes(fal_client_says, over_tls):
    told = fal_client_says("""
        seen = []
        result = fal_client.subscribe(MODEL, arguments=BODY, on_enqueue=seen.append)
        print(json.dumps({"seen": seen, "result": result}))
    """)

    assert told["result"]["images"][0]["url"].startswith(f"{over_tls.url}/files/{told['seen'][0]}/")
    assert over_tls.counts()["charged"] == 1


def test_fals_own_client_finds_a_request_by_its_number_under_a_vanished_sub_path(fal_client_says):
    told = fal_client_says("""
        model = "fal-ai/bytedance/seedream/v4/text-to-image"
        number = fal_client.submit(model, arguments=BODY).request_id
        status = fal_client.status(model, number, with_logs=True)
        result = fal_client.result(model, number)
        word = type(status).__name__
        print(json.dumps({"status": word, "metrics": status.metrics, "keys": sorted(result)}))
    """)

    assert told["status"] == "Completed"
    assert "inference_time" in told["metrics"]
    assert told["keys"] == ["images", "seed"]


def test_fals_own_client_cancels(fal_client_says, over_tls):
    over_tls.set(latency=60)

    told = fal_client_says("""
        handle = fal_client.submit(MODEL, arguments=BODY)
        handle.cancel()
        status = handle.status()
        try:
            fal_client.cancel(MODEL, handle.request_id)
            again = "accepted"
        except fal_client.FalClientError as error:
            again = error.status_code
        print(json.dumps({"error": status.error_type, "again": again}))
    """)

    assert told == {"error": "client_cancelled", "again": 400}
    assert over_tls.counts()["cancelled"] == 1


def test_fals_own_client_reads_a_refusal_of_the_model(fal_client_says, over_tls):
    over_tls.fault("outcome", "content_policy")

    told = fal_client_says("""
        handle = fal_client.submit(MODEL, arguments=BODY)
        try:
            handle.get()
        except fal_client.FalClientHTTPError as error:
            print(json.dumps({"status": error.status_code, "type": error.response.json()["detail"][0]["type"],
                              "units": error.response_headers["x-fal-billable-units"],
                              "said": handle.status().error_type}))
    """)

    assert told == {
        "status": 422,
        "type": "content_policy_violation",
        "units": "0",
        "said": "content_policy_violation",
    }


def test_fals_own_client_uploads_a_reference(fal_client_says, over_tls, certificate):
    told = fal_client_says(f"""
        import fal_client.client
        fal_client.client.REST_URL = {over_tls.url!r}
        data = b"any bytes, with \\r\\n in the middle" * 100
        url = fal_client.SyncClient().upload(data, "image/png", file_name="a.png", repository="fal")
        handle = fal_client.submit(MODEL, arguments={{**BODY, "image_url": url}})
        print(json.dumps({{"url": url, "id": handle.request_id}}))
    """)

    with httpx.Client(verify=ssl.create_default_context(cafile=certificate), trust_env=False) as anybody:
        kept = anybody.get(told["url"])
    assert kept.content == b"any bytes, with \r\n in the middle" * 100
    assert over_tls.request(told["id"])["body"]["image_url"] == told["url"]


def test_fals_own_client_with_a_wrong_key_is_turned_away(fal_client_says, over_tls):
    told = fal_client_says(
        """
        try:
            fal_client.submit(MODEL, arguments=BODY)
        except fal_client.FalClientHTTPError as error:
            print(json.dumps({"status": error.status_code}))
        """,
        key="stranger",
    )

    assert told == {"status": 401}
    assert over_tls.counts()["accepted"] == 0


# ---- the wire


def test_running_answers_202_and_done_answers_200(caller, emulator):
    emulator.set(progress_polls=1)
    reply = make(caller)

    codes = [caller.get(reply["status_url"]).status_code for _ in range(2)]

    assert codes == [202, 200]


def test_the_result_carries_its_billed_units_and_the_status_does_not(caller):
    reply = make(caller)

    status, result = caller.get(reply["status_url"]), caller.get(reply["response_url"])

    assert "x-fal-billable-units" not in status.headers
    assert result.headers["x-fal-billable-units"] == "1"
    assert result.headers["x-fal-request-id"] == reply["request_id"]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Key wrong"}, {"Authorization": f"Bearer {KEY}"}])
def test_without_the_right_key_nothing_is_told_and_nothing_accepted(emulator, headers):
    answers = [
        httpx.post(f"{emulator.url}/{MODEL}", json=BODY, headers=headers, trust_env=False),
        httpx.get(f"{emulator.url}/v1/models/pricing", headers=headers, trust_env=False),
    ]

    assert [answer.status_code for answer in answers] == [401, 401]
    assert emulator.counts()["accepted"] == 0


@pytest.mark.parametrize(
    ("fmt", "size", "kind"),
    [("jpeg", (512, 768), "JPEG"), ("jpeg", (1024, 1024), "JPEG"), ("png", (512, 768), "PNG")],
)
def test_every_picture_is_whole_colourful_and_different(caller, fmt, size, kind):
    shape = {"width": size[0], "height": size[1]}
    replies = [make(caller, image_size=shape, output_format=fmt) for _ in range(15)]

    files = [picture_of(caller, reply).content for reply in replies]

    assert len({hashlib.sha256(data).hexdigest() for data in files}) == 15
    for data in files:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            assert (image.format, image.size) == (kind, size)
            assert len(image.getcolors(size[0] * size[1])) > 1000


def test_a_picture_needs_no_key_and_a_key_sent_along_is_noticed(caller, emulator):
    url = caller.get(make(caller)["response_url"]).json()["images"][0]["url"]

    codes = [
        httpx.get(url, trust_env=False).status_code,
        httpx.get(url, headers=HEADERS, trust_env=False).status_code,
    ]

    assert codes == [200, 200]
    assert emulator.counts()["leaked_keys"] == 1


def test_prices_are_told_as_fals_platform_tells_them(caller, emulator):
    emulator.set(unit_price=0.03, unit="megapixel")

    told = caller.get("/v1/models/pricing", params={"endpoint_id": MODEL}).json()

    assert told["prices"] == [
        {"endpoint_id": MODEL, "unit_price": 0.03, "unit": "megapixel", "currency": "USD"}
    ]
    assert told["has_more"] is False


def test_pictures_beyond_the_limit_wait_their_turn(caller, emulator):
    emulator.set(latency=60, concurrency=2)
    replies = [make(caller) for _ in range(5)]

    words = [caller.get(reply["status_url"]).json() for reply in replies]

    assert [word["status"] for word in words] == ["IN_PROGRESS"] * 2 + ["IN_QUEUE"] * 3
    assert [word["queue_position"] for word in words[2:]] == [0, 1, 2]
    assert emulator.counts()["max_unfinished"] == 5


def test_a_result_ends_with_its_lifetime(caller, emulator):
    emulator.set(result_lifetime=0)

    answer = caller.get(make(caller)["response_url"])

    assert answer.status_code == 404


def test_a_request_without_a_prompt_is_accepted_fails_and_costs_nothing(caller, emulator):
    reply = make(caller, prompt="")

    answer = caller.get(reply["response_url"])

    assert answer.status_code == 422
    assert answer.headers["x-fal-billable-units"] == "0"
    assert emulator.counts()["charged"] == 0


# ---- misbehaving pictures


def test_a_truncated_picture_arrives_politely_and_cannot_be_decoded(caller, emulator):
    emulator.fault("media", "truncated")

    answer = picture_of(caller, make(caller))

    assert answer.status_code == 200
    with Image.open(io.BytesIO(answer.content)) as image, pytest.raises(OSError, match="truncated"):
        image.load()


def test_a_download_can_break_in_the_middle(caller, emulator):
    emulator.fault("media", "cut")
    reply = make(caller)

    with pytest.raises(httpx.TransportError):
        picture_of(caller, reply)

    assert picture_of(caller, reply).status_code == 200


def test_a_web_page_can_come_instead_of_a_picture_every_time(caller, emulator):
    emulator.fault("outcome", "html")
    reply = make(caller)

    answers = [picture_of(caller, reply) for _ in range(2)]

    assert {answer.headers["content-type"] for answer in answers} == {"text/html"}


@pytest.mark.parametrize("status", [404, 410])
def test_a_picture_can_be_gone_while_its_result_is_still_there(caller, emulator, status):
    emulator.fault("outcome", "media_expired", status=status)

    answer = picture_of(caller, make(caller))

    assert answer.status_code == status


def test_a_filtered_picture_is_black_flagged_and_billed(caller, emulator):
    emulator.fault("outcome", "black")
    reply = make(caller)

    result = caller.get(reply["response_url"])
    picture = picture_of(caller, reply)

    assert result.json()["has_nsfw_concepts"] == [True]
    assert result.headers["x-fal-billable-units"] == "1"
    with Image.open(io.BytesIO(picture.content)) as image:
        assert image.getcolors(10) == [(512 * 768, (0, 0, 0))]


# ---- its own addresses


@pytest.mark.parametrize(
    "fault",
    [
        {"at": "moon", "kind": "hang"},
        {"at": "submit", "kind": "eclipse"},
        {"at": "media", "kind": "black"},
        {"at": "outcome", "kind": "rate_limited"},
        {"at": "status", "kind": "hang", "colour": "red"},
        ["hang"],
    ],
)
def test_a_fault_that_could_never_happen_is_refused(emulator, fault):
    answer = httpx.post(f"{emulator.url}/_emulator/faults", json=fault, trust_env=False)

    assert answer.status_code == 400
    assert answer.json()["detail"]


def test_faults_can_be_aimed_at_words_skip_calls_and_last_for_ever(caller, emulator):
    emulator.fault("submit", "rate_limited", only_prompt="pumpkin", skip=1, count=None)

    codes = [caller.post(f"/{MODEL}", json=BODY).status_code for _ in range(3)]
    spared = caller.post(f"/{MODEL}", json={"prompt": "an adult chess player"}).status_code

    assert codes == [200, 429, 429]
    assert spared == 200


def test_a_share_of_the_calls_fails_and_the_rest_passes(caller, emulator):
    emulator.fault("submit", "rate_limited", share=0.3, count=None)

    codes = [caller.post(f"/{MODEL}", json=BODY).status_code for _ in range(60)]

    assert 5 < codes.count(429) < 35


@pytest.mark.parametrize("given", [{"speed": 11}, {"latency": "two"}, {"latency": None}, ["latency"]])
def test_a_setting_that_makes_no_sense_is_refused(emulator, given):
    answer = httpx.post(f"{emulator.url}/_emulator/settings", json=given, trust_env=False)

    assert answer.status_code == 400


def test_the_counts_tell_each_request_with_its_times_and_no_words(caller, emulator):
    reply = make(caller)
    picture_of(caller, reply)

    (line,) = emulator.counts()["requests"]

    assert line["id"] == reply["request_id"]
    assert line["accepted_at"] <= line["started_at"] <= line["finished_at"]
    assert (line["result_calls"], line["downloads"], line["units"]) == (1, 1, "1")
    assert "pumpkin" not in json.dumps(line)


def test_reset_forgets_requests_faults_and_settings(caller, emulator):
    emulator.set(latency=60)
    make(caller)
    emulator.fault("submit", "hang")

    emulator.reset()

    counts = emulator.counts()
    assert (counts["submits"], counts["unfinished"], counts["requests"]) == (0, 0, [])
    assert make(caller)["request_id"]


def test_many_callers_at_once_are_counted_exactly(caller, emulator):
    threads = [threading.Thread(target=lambda: [make(caller) for _ in range(20)]) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    counts = emulator.counts()
    assert (counts["submits"], counts["accepted"], counts["charged"]) == (160, 160, 160)


# ---- as a process


def test_a_process_of_its_own_can_be_shared_and_counts_its_own_processor_time():
    with EmulatorProcess() as emulator:
        reply = httpx.post(f"{emulator.url}/{MODEL}", json=BODY, headers=HEADERS, trust_env=False).json()
        done = httpx.get(reply["response_url"], headers=HEADERS, trust_env=False)

        assert done.status_code == 200
        assert 0 < emulator.counts()["cpu_seconds"] < 5
        pid = emulator.pid

    assert not Path(f"/proc/{pid}").exists()


def test_the_process_does_not_outlive_whoever_started_it():
    script = """if True:
        import os
        from tests.emulator import EmulatorProcess
        emulator = EmulatorProcess()
        print(emulator.pid, flush=True)
        os._exit(0)
    """

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert gone_soon(int(done.stdout))


def test_people_are_told_how_to_point_the_studio_at_it():
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.emulator", "--port", "0", "--tls"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = [process.stdout.readline() for _ in range(12)]

    process.terminate()
    process.wait(10)
    process.stdout.close()

    said = "".join(lines)
    assert "FAL_BASE_URL=https://localhost:" in said
    assert all(name in said for name in ("/replicate ", "/novita ", "/runpod/v2 "))
    assert "FAL_QUEUE_RUN_HOST=localhost:" in said
    assert process.returncode == 0


def gone_soon(pid: int) -> bool:
    """Whether a process ends within five seconds."""
    ended = threading.Event()
    for _ in range(50):
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        ended.wait(0.1)
    return False
