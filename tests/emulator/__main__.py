"""python -m tests.emulator: the providers on this machine, for people and for tests of several processes."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
from pathlib import Path

from tests.emulator import KEY, origin
from tests.emulator.control import Desk
from tests.emulator.state import State
from tests.emulator.tls import make_certificate, server_context
from tests.emulator.wire import Server

HELP = """\
fal, Replicate, Novita, RunPod and a chat model are played on {url} (end it with Ctrl-C).

Point the studio at one of them, or at several:
    FAL_KEY={key} FAL_BASE_URL={url} python studio_app.py
    REPLICATE_API_TOKEN={key} REPLICATE_BASE_URL={url}/replicate python studio_app.py
    NOVITA_API_KEY={key} NOVITA_BASE_URL={url}/novita python studio_app.py
    RUNPOD_API_KEY={key} RUNPOD_ENDPOINT_ID=own RUNPOD_BASE_URL={url}/runpod/v2 python studio_app.py
    CHAT_BASE_URL={url}/chat/v1 CHAT_API_KEY={key} CHAT_MODEL=any python studio_app.py
{client}
Make something go wrong, slow it down, look:
    curl {curl}{url}/_emulator/faults -d '{{"at": "submit", "kind": "rate_limited", "retry_after": 5}}'
    curl {curl}{url}/_emulator/settings -d '{{"latency": 2, "queue_positions": 3}}'
    curl {curl}{url}/_emulator/counts
The kinds of faults stand in tests/emulator/faults.py.
"""
CLIENT = """
Point fal's own client at it:
    SSL_CERT_FILE={certificate} FAL_KEY={key} FAL_RUN_HOST={host} FAL_QUEUE_RUN_HOST={host} python …
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.emulator", description=__doc__)
    parser.add_argument("--port", type=int, default=9000, help="0 takes a free one")
    parser.add_argument("--tls", action="store_true", help="https, with a certificate that signs itself")
    parser.add_argument("--until-stdin-ends", action="store_true", help="for tests: end with the parent")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="emulator-") as folder:
        certificate = make_certificate(Path(folder)) if asked.tls else None
        try:
            asyncio.run(_serve(asked.port, certificate, for_tests=asked.until_stdin_ends))
        except OSError as exc:
            parser.exit(
                1, f"Port {asked.port} cannot be used ({exc.strerror}). Choose another with --port.\n"
            )


async def _serve(port: int, certificate: Path | None, *, for_tests: bool) -> None:
    server = Server(Desk(State()), tls=server_context(certificate) if certificate else None)
    bound = await server.open(port)
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, over.set)
    if for_tests:
        # The parent holds our stdin: when it dies, however it dies, the pipe ends and so do we.
        loop.add_reader(sys.stdin.fileno(), over.set)
    _greet(bound, certificate, for_tests=for_tests)
    await over.wait()
    await server.close()


def _greet(port: int, certificate: Path | None, *, for_tests: bool) -> None:
    url = origin(port, tls=certificate is not None)
    host = url.partition("//")[2]
    if for_tests:
        print(url, flush=True)
        return
    client = CLIENT.format(certificate=certificate, key=KEY, host=host) if certificate else ""
    curl = f"--cacert {certificate} " if certificate else ""
    print(HELP.format(url=url, key=KEY, client=client, curl=curl), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
