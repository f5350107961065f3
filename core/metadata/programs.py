"""What other programs write into their pictures, read into a recipe (reference/image-metadata.md §1)."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from PIL import Image

from core import png
from core.errors import BadImage
from core.metadata import infotext
from core.metadata.containers import OURS, PARAMETERS
from core.metadata.recipe import Recipe

_EXIF_IFD: Final = 0x8769
_COMMENT: Final = 0x9286
_LONGEST: Final = 2 * 1024 * 1024  # characters of one text that are looked at


def texts_of(data: bytes) -> dict[str, str]:
    """The texts of a picture by keyword: PNG's own, EXIF's comment as `UserComment`, GIF's comment, XMP as `xmp`."""
    if png.is_png(data):
        return _texts_of_png(data)
    return _texts_of_others(data)


def _texts_of_png(data: bytes) -> dict[str, str]:
    try:
        whole = png.read(data)
    except BadImage:
        return {}
    found = {text.keyword: text.value[:_LONGEST].decode(errors="replace") for text in png.texts(whole)}
    return found | ({"xmp": found.pop(png.XMP)} if png.XMP in found else {})


def _texts_of_others(data: bytes) -> dict[str, str]:
    try:
        with Image.open(io.BytesIO(data)) as picture:
            comment: object = picture.getexif().get_ifd(_EXIF_IFD).get(_COMMENT)
            info = cast("Mapping[str, object]", picture.info)
            found = {"UserComment": _comment(comment), "xmp": _text(info.get("xmp"))}
            if picture.format == "GIF":
                found["UserComment"] = _text(info.get("comment"))
    except Exception:  # noqa: BLE001 — decoders of foreign bytes raise anything; no settings is no failure
        return {}
    return {name: text for name, text in found.items() if text}


def _text(value: object) -> str:
    return value[:_LONGEST].decode(errors="replace") if isinstance(value, bytes) else str(value or "")


def _comment(value: object) -> str:
    """EXIF's comment begins with the name of its encoding; some programs leave it out."""
    raw = (
        value.encode("latin-1", errors="replace")
        if isinstance(value, str)
        else bytes(cast("bytes", value or b""))
    )
    raw = raw[: 2 * _LONGEST]
    if raw.startswith(b"UNICODE\0"):
        body = raw[8:]
        # Big-endian is the rule; who wrote the other way shows by the zeroes.
        little = body[1:2] == b"\0"
        return body.decode("utf-16-le" if little else "utf-16-be", errors="replace").strip("\0 ")
    return raw.removeprefix(b"ASCII\0\0\0").decode(errors="replace").strip("\0 ")


def recipe_of(texts: Mapping[str, str]) -> tuple[str, Recipe] | None:
    """The program that wrote them and what they say; None where nothing can be made of them."""
    for keyword, read in _READERS:
        text = texts.get(keyword)
        if not text:
            continue
        try:
            found = read(text)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue  # metadata unreadable is never a failed upload: the next reader has a look
        if found is not None:
            return found
    return None


def _object(text: str) -> Mapping[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise TypeError("no object")
    return cast("Mapping[str, Any]", value)


def _whole(value: object) -> int | None:
    """A whole number, also where it was written as text; None for anything else and for the -1 that means none."""
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,20}", str(value).strip()):
        return None
    return int(str(value).strip())


def _ours(text: str) -> tuple[str, Recipe] | None:
    said = _object(text)
    return "Portrait Studio", Recipe(
        prompt=str(said.get("prompt") or ""),
        negative=str(said.get("negative") or ""),
        seed=_whole(said.get("seed")),
        width=_whole(said.get("width")),
        height=_whole(said.get("height")),
        provider=said.get("provider"),
        model=said.get("model"),
        model_key=said.get("model_key"),
        portrait_id=said.get("portrait_id"),
        job_id=said.get("job_id"),
        presets=tuple((str(name), str(value)) for name, value in dict(said.get("presets") or {}).items()),
    )


def _invoke(text: str) -> tuple[str, Recipe] | None:
    said = _object(text)
    model = said.get("model")
    named = cast("Mapping[str, Any]", model).get("name") if isinstance(model, dict) else model
    return "InvokeAI", Recipe(
        prompt=str(said.get("positive_prompt") or ""),
        negative=str(said.get("negative_prompt") or ""),
        seed=_whole(said.get("seed")),
        width=_whole(said.get("width")),
        height=_whole(said.get("height")),
        model=str(named) if named else None,
    )


def _parameters(text: str) -> tuple[str, Recipe] | None:
    if text.lstrip().startswith("{"):
        said = _object(text)
        inner = said.get("sui_image_params")
        return _swarm(cast("Mapping[str, Any]", inner)) if isinstance(inner, dict) else _fooocus(said)
    return _infotext(text)


def _swarm(said: Mapping[str, Any]) -> tuple[str, Recipe]:
    return "SwarmUI", Recipe(
        prompt=str(said.get("prompt") or ""),
        negative=str(said.get("negativeprompt") or ""),
        seed=_whole(said.get("seed")),
        width=_whole(said.get("width")),
        height=_whole(said.get("height")),
        model=str(said["model"]) if said.get("model") else None,
    )


def _fooocus(said: Mapping[str, Any]) -> tuple[str, Recipe]:
    size = re.findall(r"\d+", str(said.get("resolution") or ""))
    return "Fooocus", Recipe(
        prompt=str(said.get("prompt") or ""),
        negative=str(said.get("negative_prompt") or ""),
        seed=_whole(said.get("seed")),
        width=int(size[0]) if len(size) > 1 else None,
        height=int(size[1]) if len(size) > 1 else None,
        model=str(said["base_model"]) if said.get("base_model") else None,
    )


def _infotext(text: str) -> tuple[str, Recipe] | None:
    prompt, negative, pairs = infotext.read(text)
    if not prompt and not pairs:
        return None
    width, _, height = pairs.get("Size", "").partition("x")
    return "AUTOMATIC1111" if "Portrait" not in pairs else "Portrait Studio", Recipe(
        prompt=prompt,
        negative=negative,
        seed=_whole(pairs.get("Seed")),
        width=_whole(width),
        height=_whole(height),
        provider=pairs.get("Provider"),
        model=pairs.get("Model"),
        model_key=pairs.get("Provider model"),
        portrait_id=pairs.get("Portrait"),
        job_id=pairs.get("Job"),
    )


def _comfy(text: str) -> tuple[str, Recipe] | None:
    """A graph, not a prompt: only texts that feed a sampler's positive and negative ends are taken."""
    nodes = {
        key: cast("Mapping[str, Any]", node) for key, node in _object(text).items() if isinstance(node, dict)
    }
    sampler = next((_inputs(node) for node in nodes.values() if "positive" in _inputs(node)), None)
    if sampler is None:
        return None

    def words(end: str) -> str:
        link = sampler.get(end)
        node = nodes.get(str(cast("list[object]", link)[0])) if isinstance(link, list) and link else None
        text_in = _inputs(node).get("text") if node else None
        return text_in if isinstance(text_in, str) else ""

    seed = _whole(sampler.get("seed", sampler.get("noise_seed")))
    return "ComfyUI", Recipe(prompt=words("positive"), negative=words("negative"), seed=seed)


def _inputs(node: Mapping[str, Any]) -> Mapping[str, Any]:
    found = node.get("inputs")
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}


def _novel(text: str) -> tuple[str, Recipe] | None:
    said = _object(text)
    return "NovelAI", Recipe(
        prompt=str(said.get("prompt") or ""),
        negative=str(said.get("uc") or ""),
        seed=_whole(said.get("seed")),
        width=_whole(said.get("width")),
        height=_whole(said.get("height")),
    )


_READERS: Final[tuple[tuple[str, Callable[[str], tuple[str, Recipe] | None]], ...]] = (
    (OURS, _ours),
    ("invokeai_metadata", _invoke),
    (PARAMETERS, _parameters),
    ("prompt", _comfy),
    ("Comment", _novel),
    ("UserComment", _parameters),
)
