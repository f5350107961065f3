"""The studio: settings, services, HTTP with the Gradio page on it, the embedded worker. Nothing else."""

from __future__ import annotations

import contextlib
import os
import sys

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before the import below reads it
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import studio
from core import api, serving, worker
from core.auth import gate_for
from core.db.embedded import terminate_cleanly
from core.errors import StudioError
from core.guards import refuse_open_door
from core.services import open_services
from core.settings import Settings, WorkerMode


def main() -> None:
    """Serve until SIGTERM or Ctrl+C."""
    terminate_cleanly()
    settings = Settings()
    refuse_open_door(settings)
    with contextlib.ExitStack() as stack:
        services = stack.enter_context(open_services(settings))
        gate = gate_for(services)
        if settings.worker is WorkerMode.embedded:
            stack.enter_context(worker.in_thread(services))
        app = api.build(services, gate)
        studio.mount(app, services, gate)
        print(f"Portrait Studio: http://{settings.studio_host}:{settings.studio_port}/", flush=True)  # noqa: T201
        serving.serve(app, services, host=settings.studio_host, port=settings.studio_port)


if __name__ == "__main__":
    try:
        main()
    except StudioError as error:
        sys.exit(error.sentence)
