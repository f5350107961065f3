"""A real worker that ends, or stops, right after one function of the product has returned.

`python tests/chaos/worker.py kill core.running:_begin` ends itself with SIGKILL after the first call;
`stop` in place of `kill` freezes it with SIGSTOP, to be woken by SIGCONT. No failpoints in `core`: the function is
wrapped from outside.
"""

import functools
import importlib
import os
import signal
import sys

from core import worker

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


def strike_after(target: str, number: signal.Signals) -> None:
    module_name, _, name = target.partition(":")
    module = importlib.import_module(module_name)
    inner = getattr(module, name)
    struck = []

    @functools.wraps(inner)
    def wrapped(*args, **kwargs):
        result = inner(*args, **kwargs)
        if not struck:
            struck.append(True)
            os.kill(os.getpid(), number)
        return result

    setattr(module, name, wrapped)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        strike_after(sys.argv[2], SIGNALS[sys.argv[1]])
    worker.main()
