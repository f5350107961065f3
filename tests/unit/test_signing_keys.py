"""Keys of whoever signs tokens: asked for seldom, kept while the server is away, each bound to one algorithm."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from core.errors import SignInUnavailable
from core.identity.signing_keys import AWAY_INTERVAL, INTERVAL, TTL, SigningKeys, usable_keys
from tests.supabase.signing import SigningKey, known_key, new_key

KEY = known_key("ES256")
OTHER = known_key("RS256")


class Server:
    """Says which keys there are, counts how often it was asked, and can be away."""

    def __init__(self, *keys):
        self.keys = list(keys)
        self.asked = 0
        self.is_away = False
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self):
        self.asked += 1
        self.gate.wait(5)
        if self.is_away:
            raise SignInUnavailable("away")
        return usable_keys([key.public() for key in self.keys])


class Clock:
    def __init__(self):
        self.at = 1000.0

    def __call__(self):
        return self.at


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server():
    return Server(KEY)


@pytest.fixture
def keys(server, clock):
    return SigningKeys(server, now=clock)


def test_a_known_key_is_asked_for_once_in_ten_minutes(keys, server, clock):
    assert keys.find(KEY.kid).algorithm_name == "ES256"
    clock.at += TTL - 1
    keys.find(KEY.kid)
    assert server.asked == 1

    clock.at += 1
    keys.find(KEY.kid)

    assert server.asked == 2


def test_a_thousand_unknown_keys_from_many_threads_cost_one_request(keys, server, clock):
    keys.find(KEY.kid)
    clock.at += INTERVAL
    server.gate.clear()  # all threads are there before the first answer is

    with ThreadPoolExecutor(16) as pool:
        found = [pool.submit(keys.find, f"made-up-{number}") for number in range(1000)]
        while server.asked < 2:
            time.sleep(0.01)
        time.sleep(0.1)
        server.gate.set()

    assert {one.result() for one in found} == {None}
    assert server.asked == 2


def test_a_key_that_is_new_is_found_at_the_next_turn_and_the_old_one_goes_with_it(keys, server, clock):
    keys.find(KEY.kid)
    server.keys = [OTHER]
    assert keys.find(OTHER.kid) is None

    clock.at += INTERVAL

    assert keys.find(OTHER.kid) is not None
    assert keys.find(KEY.kid) is None


def test_the_last_good_keys_count_while_the_server_is_away(keys, server, clock):
    keys.find(KEY.kid)
    server.is_away = True
    clock.at += 10 * TTL

    assert keys.find(KEY.kid) is not None
    with pytest.raises(SignInUnavailable):
        keys.find("made-up")

    server.is_away = False
    clock.at += AWAY_INTERVAL
    assert keys.find("made-up") is None
    assert server.asked == 3


def test_keys_that_were_never_read_are_a_sign_in_that_does_not_answer_and_are_asked_for_again_soon(
    keys, server, clock
):
    server.is_away = True
    for _ in range(50):
        with pytest.raises(SignInUnavailable):
            keys.find(KEY.kid)
    assert server.asked == 1

    server.is_away = False
    clock.at += AWAY_INTERVAL

    assert keys.find(KEY.kid) is not None


def test_nobody_waits_for_a_slow_server_with_a_key_that_is_known(keys, server, clock):
    keys.find(KEY.kid)
    clock.at += TTL
    server.gate.clear()
    slow = threading.Thread(target=keys.find, args=(KEY.kid,))
    slow.start()
    while server.asked < 2:
        time.sleep(0.01)

    found = keys.find(KEY.kid)

    assert slow.is_alive()
    server.gate.set()
    slow.join(5)
    assert found is not None
    assert server.asked == 2


def test_a_key_is_bound_to_the_one_algorithm_of_its_kind():
    found = usable_keys([KEY.public(), OTHER.public()])

    assert {name: key.algorithm_name for name, key in found.items()} == {KEY.kid: "ES256", OTHER.kid: "RS256"}


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", "alg": "HS256"},
        {"alg": "HS256"},
        {"alg": "RS256"},
        {"use": "enc"},
        {"kid": 7},
        {"kid": None},
        {"crv": "P-384"},
        {"x": "AA"},
        {"x": 12},
        {"kty": "EC2"},
    ],
)
def test_a_key_that_is_none_for_signatures_is_left_out(change):
    assert usable_keys([KEY.public() | change, OTHER.public()]).keys() == {OTHER.kid}


@pytest.mark.parametrize("listed", [None, {}, "keys", [None], [[]], [{"kty": "EC"}], 3])
def test_a_set_that_is_none_has_no_keys(listed):
    assert usable_keys(listed) == {}


def test_a_short_rsa_key_is_left_out():
    short = SigningKey(algorithm="RS256", private=rsa.generate_private_key(65537, 1024))  # noqa: S505 - that is the point

    assert usable_keys([short.public()]) == {}
    assert usable_keys([new_key("RS256").public()])
