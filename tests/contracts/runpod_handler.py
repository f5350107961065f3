"""A worker for RunPod's own local test server: a stand-in for worker-sdxl that needs no GPU.

Runs in the peers' environment, so it imports nothing of ours.
"""

from __future__ import annotations

import base64
import struct
import zlib

import runpod


def drawn(width: int, height: int) -> bytes:
    """A PNG with a slope of colours, by hand: the peers' environment has no imaging library."""
    rows = b"".join(
        b"\0" + b"".join(bytes((x * 255 // width, y * 255 // height, 128)) for x in range(width))
        for y in range(height)
    )
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    framed = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def handle(job: dict) -> dict | None:
    """worker-sdxl's answer, or the failure that the prompt asks for."""
    wanted = job["input"]
    if "refuse" in wanted["prompt"]:
        return {"error": f"The safety checker refused: {wanted['prompt']}"}
    if "break" in wanted["prompt"]:
        raise RuntimeError(wanted["prompt"])
    if "empty" in wanted["prompt"]:
        return None  # told as COMPLETED without an output; {} breaks the local server itself (HTTP 500)
    picture = base64.b64encode(drawn(wanted["width"], wanted["height"])).decode()
    uri = f"data:image/png;base64,{picture}"
    return {"images": [uri], "image_url": uri, "seed": wanted["seed"]}


if __name__ == "__main__":
    runpod.serverless.start({"handler": handle})
