"""One look of recovery that ends itself with SIGKILL right after one function of the product has returned.

`python tests/contracts/dying_recovery.py core.db.recoveries:record 5` dies after the fifth call.
"""

import functools
import importlib
import os
import signal
import sys

from core import recovery
from core.services import open_services
from core.settings import Settings


def die_after(target: str, call: int) -> None:
    module_name, _, name = target.partition(":")
    module = importlib.import_module(module_name)
    inner = getattr(module, name)
    calls = []

    @functools.wraps(inner)
    def wrapped(*args, **kwargs):
        result = inner(*args, **kwargs)
        calls.append(name)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(module, name, wrapped)
    # A table of deeds holds the function itself.
    for action, deed in recovery._DEEDS.items():
        if deed is inner:
            recovery._DEEDS[action] = wrapped


if __name__ == "__main__":
    recovery.BATCH = 20
    die_after(sys.argv[1], int(sys.argv[2]))
    with open_services(Settings()) as services:
        recovery.recover(services)
