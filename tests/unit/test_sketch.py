"""Sketch: what it draws, how its progress tells the truth, and what a receipt is good for."""

import io
import json
import random
import subprocess
import sys
import threading
from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageStat

from core import images
from core.errors import ProviderRejected, ResultLost
from core.providers import CancelAnswer
from core.providers.sketch import KEPT, Sketch
from core.providers.sketch_drawing import FRAMES, MARK, PASSES, Drawing
from core.providers.sketch_words import read_traits
from core.values import Finished, ImageModel, JobStage, ModelId, Order, Running, Size

MODEL = ImageModel(id=ModelId(uuid4()), provider="sketch", model_key="sketch-1", display_name="Sketch")
PROMPT = "adult woman, long silver hair, green eyes, red dress, smiling, in a forest"
SMALL = Size(width=128, height=192)


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self):
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def an_order(prompt=PROMPT, seed=7, size=SMALL) -> Order:
    return Order(prompt=prompt, seed=seed, size=size)


def drawn(prompt=PROMPT, seed=7, size=SMALL) -> bytes:
    sketch = Sketch(0)
    result = sketch.poll(sketch.submit(an_order(prompt, seed, size), MODEL))
    assert isinstance(result, Finished)
    return result.images[0].data


def difference(one: bytes, other: bytes) -> float:
    """Mean difference of two pictures, 0 to 255."""
    first, second = (Image.open(io.BytesIO(data)).convert("RGB") for data in (one, other))
    return sum(ImageStat.Stat(ImageChops.difference(first, second)).mean) / 3


@pytest.mark.parametrize("size", [(512, 768), (1024, 1024), (768, 1024), (64, 64), (320, 200)])
def test_a_sketch_is_a_whole_png_of_the_asked_size_with_something_on_it(size):
    picture = images.read_picture(drawn(size=Size(width=size[0], height=size[1])))

    assert (picture.width, picture.height) == size
    assert picture.media_type == "image/png"
    assert not picture.blank


def test_the_same_order_gives_the_same_bytes_in_another_process_too():
    program = (
        "import sys, hashlib; from core.providers.sketch_drawing import Drawing, PASSES; from core.values import Size\n"
        "d = Drawing(sys.argv[1], 7, Size(width=128, height=192))\n"
        "[d.next_pass() for _ in PASSES]; print(hashlib.sha256(d.png()).hexdigest())"
    )

    there = subprocess.run(
        [sys.executable, "-c", program, PROMPT], capture_output=True, text=True, check=True
    )

    assert drawn() == drawn()
    assert there.stdout.strip() == images.read_picture(drawn()).sha256


@pytest.mark.parametrize(
    "other",
    [
        PROMPT.replace("silver", "black"),
        PROMPT.replace("long silver hair", "short silver hair"),
        PROMPT.replace("red dress", "yellow sweater"),
        PROMPT.replace("in a forest", "at the beach"),
        PROMPT.replace("in a forest", "in a forest at night"),
        f"{PROMPT}, straw hat",
        f"{PROMPT}, dark skin",
        f"{PROMPT}, profile",
        f"{PROMPT}, from behind",
        f"{PROMPT}, close-up",
        f"{PROMPT}, standing",
        f"{PROMPT}, sitting",
        f"{PROMPT}, lying",
        PROMPT.replace("adult woman", "adult man"),
    ],
)
def test_other_words_give_a_visibly_other_picture(other):
    assert difference(drawn(), drawn(other)) > 2


@pytest.mark.parametrize("words", ["round glasses", "freckles", "earrings", "scarf", "laughing", "blue eyes"])
def test_small_words_show_too(words):
    plain = "adult woman, close-up, long brown hair, light skin, brown eyes, calm, white shirt"
    changed = (
        plain.replace("brown eyes", words) if "eyes" in words else plain.replace("calm", f"calm, {words}")
    )
    changed = changed.replace("calm, laughing", "laughing")
    one, other = (
        Drawing(plain, 3, Size(width=256, height=256)),
        Drawing(changed, 3, Size(width=256, height=256)),
    )

    for drawing in (one, other):
        for _ in PASSES:
            drawing.next_pass()

    assert one.traits != other.traits
    assert one.png() != other.png()


def test_another_seed_gives_another_picture_where_the_prompt_leaves_room():
    pictures = {drawn("a person", seed) for seed in range(6)}

    assert len(pictures) == 6


@pytest.mark.parametrize(
    ("prompt", "field", "expected"),
    [
        ("adult woman, long silver hair, green eyes, red dress", "hair", "silver"),
        ("adult woman, long silver hair, green eyes, red dress", "hair_style", "long"),
        ("adult woman, long silver hair, green eyes, red dress", "eyes", "green"),
        ("adult woman, long silver hair, green eyes, red dress", "cloth", "red"),
        ("adult woman, long silver hair, green eyes, red dress", "garment", "dress"),
        ("a red-haired man in a blue jacket", "hair", "red"),
        ("a red-haired man in a blue jacket", "cloth", "blue"),
        ("a red-haired man in a blue jacket", "figure", "man"),
        ("woman, no glasses, without a hat", "glasses", "none"),
        ("woman, no glasses, without a hat", "hat", "none"),
        ("woman with sunglasses", "glasses", "dark"),
        ("blonde woman", "hair", "blonde"),
        ("dark brown hair, short", "hair", "brown"),
        ("black dress, white hair", "cloth", "black"),
        ("black dress, white hair", "hair", "white"),
        ("lying pose, soft light", "pose", "lying"),
        ("Close-up", "pose", "close-up"),
        ("profile view", "pose", "profile"),
        ("seen from the back", "pose", "back"),
        ("portrait of a person", "pose", "portrait"),
        ("a forest at night", "place", "forest"),
        ("a forest at night", "hour", "night"),
        ("60s, adult woman", "age", "old"),
        ("stocky build", "build", "broad"),
        ("a woman with a warm smile", "expression", "smile"),
        ("female", "figure", "woman"),
    ],
)
def test_the_words_of_a_prompt_become_traits(prompt, field, expected):
    traits = read_traits(prompt, random.Random(1))

    assert getattr(traits, field) == expected


@settings(max_examples=40, deadline=None)
@given(prompt=st.text(max_size=120), seed=st.integers(0, 2**64))
def test_any_prompt_can_be_drawn(prompt, seed):
    assert images.read_picture(drawn(prompt, seed, Size(width=64, height=96))).width == 64


@pytest.mark.parametrize("pose", FRAMES)
def test_every_pose_is_drawn_at_every_hour_and_marked(pose):
    for hour in ("day", "sunset", "night"):
        picture = Image.open(io.BytesIO(drawn(f"{PROMPT}, {pose}, {hour}", size=Size(width=256, height=256))))

        assert picture.size == (256, 256)
        # The mark's dark plate lies in the lower right corner, with pale letters on it.
        corner = picture.convert("L").crop((160, 236, 250, 252))
        low, high = corner.getextrema()
        assert high - low > 60
        assert "placeholder" in MARK
        assert "placeholder" in picture.info["Software"]


def test_progress_is_the_passes_that_are_done_spread_over_the_seconds():
    clock = Clock()
    sketch = Sketch(7.0, clock=clock)
    ticket = sketch.submit(an_order(), MODEL)

    seen = []
    for _ in range(7):
        answer = sketch.poll(ticket)
        assert isinstance(answer, Running)
        assert answer.stage is JobStage.drawing
        seen.append(answer.fraction)
        clock.now += 1
    result = sketch.poll(ticket)

    assert seen == [done / len(PASSES) for done in range(7)]
    assert isinstance(result, Finished)
    assert result.seed == 7
    assert result.seconds == 7


def test_a_clock_that_was_set_back_only_makes_it_wait():
    clock = Clock()
    sketch = Sketch(7.0, clock=clock)
    ticket = sketch.submit(an_order(), MODEL)
    clock.now -= 3600

    assert sketch.poll(ticket) == Running(stage=JobStage.drawing, fraction=0)


def test_another_worker_draws_the_same_picture_from_the_stored_receipt():
    clock = Clock()
    first, second = Sketch(2.0, clock=clock), Sketch(2.0, clock=clock)
    ticket = first.submit(an_order(), MODEL)
    stored = json.dumps(dict(ticket.answer))

    clock.now += 2
    here, there = first.poll(ticket), second.poll(replace(ticket, answer=json.loads(stored)))

    assert here.images == there.images


@pytest.mark.parametrize("words", ["sitting in a cafe", "profile", "laughing", "at night", "on a beach"])
def test_a_kept_seed_keeps_the_person_in_another_pose_mood_and_place(words):
    plain = Drawing("adult woman, curious", 11, SMALL).traits

    other = Drawing(f"adult woman, curious, {words}", 11, SMALL).traits

    unchanged = ["skin", "hair", "hair_style", "eyes", "garment", "cloth", "second_cloth", "figure", "age"]
    assert [getattr(other, name) for name in unchanged] == [getattr(plain, name) for name in unchanged]
    assert other != plain


def test_a_seed_is_chosen_and_told_where_none_was_asked_for():
    sketch = Sketch(0)

    results = [sketch.poll(sketch.submit(an_order(seed=None), MODEL)) for _ in range(3)]

    assert len({result.seed for result in results}) == 3
    assert results[0].images[0].data == drawn(seed=results[0].seed)


def test_a_large_seed_survives_the_receipt():
    sketch = Sketch(0)

    ticket = sketch.submit(an_order(seed=2**63 + 1), MODEL)

    assert sketch.poll(replace(ticket, answer=json.loads(json.dumps(dict(ticket.answer))))).seed == 2**63 + 1


def test_a_cancelled_sketch_stops_and_is_never_delivered():
    sketch = Sketch(0)
    ticket = sketch.submit(an_order(), MODEL)

    answer = sketch.cancel(ticket)

    assert answer is CancelAnswer.stopped
    with pytest.raises(ProviderRejected) as refused:
        sketch.poll(ticket)
    assert refused.value.reason == "CANCELLED"


def test_many_drawings_at_once_keep_memory_bounded_and_all_arrive():
    clock = Clock()
    sketch = Sketch(7.0, clock=clock)
    tickets = [sketch.submit(an_order(seed=seed), MODEL) for seed in range(KEPT * 3)]
    for _ in range(2):
        clock.now += 2
        for ticket in tickets:
            sketch.poll(ticket)
    assert len(sketch._works) <= KEPT

    clock.now += 5
    results = [sketch.poll(ticket) for ticket in tickets]

    assert [result.images[0].data for result in results] == [drawn(seed=seed) for seed in range(KEPT * 3)]


def test_threads_that_poll_one_drawing_all_get_the_same_picture():
    sketch = Sketch(0)
    ticket = sketch.submit(an_order(), MODEL)
    got = []
    threads = [
        threading.Thread(target=lambda: got.append(sketch.poll(ticket).images[0].data)) for _ in range(6)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert got == [drawn()] * 6


@pytest.mark.parametrize("size", [(63, 512), (512, 2049), (0, 0), (-5, 100)])
def test_a_size_it_cannot_draw_is_refused_before_anything_is_drawn(size):
    with pytest.raises(ProviderRejected) as refused:
        Sketch(0).submit(an_order(size=Size(width=size[0], height=size[1])), MODEL)

    assert refused.value.reason == "INVALID_INPUT"
    assert not refused.value.billed


@pytest.mark.parametrize(
    "answer",
    [None, {}, {"prompt": "x"}, {"prompt": "x", "seed": "y", "width": 1, "height": 1, "started": 0},
     {"prompt": "x", "seed": "1", "width": 10**6, "height": 10**6, "started": 0}],
)  # fmt: skip
def test_a_receipt_without_a_drawing_in_it_is_a_lost_result(answer):
    sketch = Sketch(0)
    ticket = replace(sketch.submit(an_order(), MODEL), answer=answer)

    with pytest.raises(ResultLost):
        sketch.poll(ticket)


def test_a_prompt_shows_in_no_repr():
    ticket = Sketch(0).submit(an_order(), MODEL)

    assert "silver" not in repr(ticket) + repr(an_order())
