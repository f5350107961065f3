"""Ports for servers of the tests' own.

They lie below those that Linux gives to clients (from 32,768 on): the port of a server that is stopped for a moment is
still free when it comes back.
"""

import socket
from random import SystemRandom

_OURS = (20_000, 32_000)


def free_port() -> int:
    """A port on loopback on which nobody listens."""
    while not is_free(port := SystemRandom().randrange(*_OURS)):
        pass
    return port


def is_free(port: int) -> bool:
    """True where a server could listen on that port of loopback."""
    with socket.socket() as probe:
        # as servers do: only a listener is in the way
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
