"""Ports for servers that tests start."""

import itertools
import os
import socket

_EACH = 500  # ports for each process of tests
_numbers = itertools.count()


def unused_port() -> int:
    """A free port for this process of tests.

    Systems choose the ports of clients from a higher range, so no client takes the port before the server has started.
    """
    first = 21_000 + _EACH * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for number in itertools.islice(_numbers, _EACH):
        port = first + number % _EACH
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise OSError(f"no port from {first} on is free")
