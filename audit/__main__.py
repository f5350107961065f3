"""`python -m audit`: the dashboard behind the same gate as the studio, in a process of its own."""

from __future__ import annotations

import contextlib
import sys

from audit import server
from core import serving
from core.auth import gate_for
from core.db.embedded import terminate_cleanly
from core.errors import StudioError
from core.guards import refuse_open_door
from core.services import open_services
from core.settings import Settings

_LONGEST_WORD = 1024 * 1024  # bytes a page may send over its socket at once: our pages take no files


def main() -> None:
    """Serve until SIGTERM or Ctrl+C."""
    terminate_cleanly()
    settings = Settings()
    refuse_open_door(settings, name="AUDIT_HOST", host=settings.audit_host)
    with contextlib.ExitStack() as stack:
        services = stack.enter_context(open_services(settings))
        app = server.build(services, gate_for(services))
        print(  # noqa: T201
            f"The audit dashboard: http://{settings.audit_host}:{settings.audit_port}{settings.audit_path}",
            flush=True,
        )
        serving.serve(
            app,
            services,
            host=settings.audit_host,
            port=settings.audit_port,
            longest_word=_LONGEST_WORD,
        )


if __name__ == "__main__":
    try:
        main()
    except StudioError as error:
        sys.exit(error.sentence)
