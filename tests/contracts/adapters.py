"""Each adapter as the tests of providers build it, pointed at the emulator.

An adapter joins the contract suite by one entry in `ADAPTERS`; each of its modes (text to image, image to image)
is a column of the suite's table, such as `fal T2I`.
"""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import uuid4

import httpx
from PIL import Image

from core.providers import Provider
from core.providers.fal import Fal
from core.providers.novita import Novita
from core.providers.replicate import Replicate
from core.providers.runpod import RunPod
from core.providers.sketch import Sketch
from core.values import Capabilities, Finished, ImageModel, ModelId, Order, ReferencePicture, Size, Ticket
from tests.emulator import KEY

PATIENCE = 1.0  # seconds until a client in these tests takes silence for an answer that got lost
PROMPT = "An adult lighthouse keeper in a mustard raincoat, winking at a seagull"
ENDPOINT = "own-endpoint"  # RunPod's, of the settings


def as_uri(picture: ReferencePicture) -> str:
    return f"data:{picture.media_type};base64,{base64.b64encode(picture.data).decode()}"


def as_reference(image: Image.Image, form: str = "PNG", link: str = "") -> ReferencePicture:
    """A picture as an order carries it."""
    buffer = io.BytesIO()
    image.save(buffer, form)
    return ReferencePicture(
        data=buffer.getvalue(),
        media_type=f"image/{form.lower()}",
        width=image.width,
        height=image.height,
        link=link,
    )


PICTURE = as_reference(Image.linear_gradient("L").resize((24, 30)).convert("RGB"))
REFERENCE = as_uri(PICTURE)


def model_of(
    provider: str, key: str, defaults: Mapping[str, object] | None = None, *, seed: bool = True
) -> ImageModel:
    """A model that takes whatever its provider has a word for."""
    return ImageModel(
        id=ModelId(uuid4()),
        provider=provider,
        model_key=key,
        display_name="Test model",
        capabilities=Capabilities(
            supports_i2i=True, supports_seed=seed, supports_negative=True, max_reference_images=4
        ),
        input_defaults=defaults or {},
    )


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """How a provider is built for a test, from the emulator's address and a client, and what can be asked of it."""

    build: Callable[[str, httpx.Client], Provider]
    t2i: ImageModel
    i2i: ImageModel | None
    remote: bool = True  # whether it speaks to a server that can fail
    polled: bool = True  # whether a receipt is asked about; else it holds the result
    stoppable: bool = True
    splits: bool = False  # whether the result has an address of its own beside the status


ADAPTERS = {
    "fal": Adapter(
        build=lambda url, client: Fal(KEY, base_url=url, client=client),
        t2i=model_of("fal", "fal-ai/flux/dev"),
        i2i=model_of("fal", "fal-ai/flux/dev/image-to-image"),
        splits=True,
    ),
    "replicate": Adapter(
        build=lambda url, client: Replicate(KEY, base_url=f"{url}/replicate", client=client),
        t2i=model_of("replicate", "black-forest-labs/flux-schnell"),
        i2i=model_of("replicate", "stability-ai/sdxl", {"_version": "latest"}),
    ),
    "novita": Adapter(
        build=lambda url, client: Novita(KEY, base_url=f"{url}/novita", client=client),
        t2i=model_of(
            "novita",
            "txt2img/sd_xl",
            {"_endpoint": "/v3/async/txt2img", "_extra": {}, "_fields": {"size": "width,height"}},
        ),
        i2i=model_of(
            "novita",
            "img2img/sd_xl",
            {
                "_endpoint": "/v3/async/img2img",
                "_extra": {},
                "_fields": {"size": "width,height", "references": "image_base64"},
            },
        ),
        stoppable=False,
    ),
    "novita at once": Adapter(
        build=lambda url, client: Novita(
            KEY, base_url=f"{url}/novita", client=client, answer_within=PATIENCE
        ),
        t2i=model_of("novita", "seedream-4.0", {"_endpoint": "/v3/seedream-4.0"}, seed=False),
        i2i=model_of("novita", "seedream-4.0", {"_endpoint": "/v3/seedream-4.0"}, seed=False),
        polled=False,
        stoppable=False,
    ),
    "runpod": Adapter(
        build=lambda url, client: RunPod(
            KEY, endpoint_id=ENDPOINT, base_url=f"{url}/runpod/v2", client=client
        ),
        t2i=model_of("runpod", "worker-sdxl"),
        i2i=model_of(
            "runpod",
            "seedream-v4-edit",
            {"_endpoint": "seedream-v4-edit", "_fields": {"size": "size", "references": "images"}},
            seed=False,
        ),
    ),
    "sketch": Adapter(
        build=lambda _url, _client: Sketch(seconds=0),
        t2i=model_of("sketch", "sketch/placeholder"),
        i2i=None,
        remote=False,
        polled=False,
        stoppable=False,
    ),
}


def until(holds: Callable[[], bool]) -> None:
    """Waits until something holds; fails where it does not within five seconds."""
    ends = time.monotonic() + 5
    while not holds():
        if time.monotonic() > ends:
            raise AssertionError("it did not come about within five seconds")
        time.sleep(0.02)


def columns(*names: str, **asked: bool) -> list[str]:
    """The columns of the named adapters (none named: all), where each property has the value that is asked for."""
    found = []
    for name, adapter in ADAPTERS.items():
        if (names and name not in names) or any(getattr(adapter, one) != asked[one] for one in asked):
            continue
        found += [f"{name} T2I"] + ([f"{name} I2I"] if adapter.i2i else [])
    return found


@dataclass(kw_only=True)
class Desk:
    """An adapter at work, and what a caller of it does."""

    name: str
    provider: Provider
    model: ImageModel
    order: Order

    def submit(self) -> Ticket:
        return self.provider.submit(self.order, self.model)

    def finish(self, ticket: Ticket) -> Finished:
        """Polls a bounded number of times until the result is there."""
        for _ in range(500):
            stand = self.provider.poll(ticket)
            if isinstance(stand, Finished):
                return stand
            time.sleep(0.01)
        raise AssertionError("five hundred polls and no result")


@dataclass
class Desks:
    """Builds desks and closes what they hold."""

    client: httpx.Client
    built: list[Provider] = field(default_factory=list)

    def at(self, column: str, url: str) -> Desk:
        name, _, mode = column.rpartition(" ")
        adapter = ADAPTERS[name]
        provider = adapter.build(url, self.client)
        self.built.append(provider)
        i2i = mode == "I2I"
        order = Order(
            prompt=PROMPT,
            negative="blurry",
            size=Size(width=256, height=320),
            seed=2**40 + 7,
            references=(PICTURE,) if i2i else (),
        )
        return Desk(name=name, provider=provider, model=adapter.i2i if i2i else adapter.t2i, order=order)
