"""Ports for servers that tests start."""

import itertools
import os
import socket

_EACH = 500  # ports for each process of tests
_numbers = itertools.count()


def unused_port() -> int:
    """A port of this process of tests on which nobody listens.

    Systems take the ports of clients from higher ones, so none is lost to a client before the server has started.
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
