"""Whether a port is free, and the sentence if it is not. `up` chooses free ports."""

import socket


def is_free(port: int, host: str) -> bool:
    """Whether no program listens at the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # A recently closed connection does not count, a program that listens does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def taken(port: int, host: str) -> str:
    """The sentence about a port that was requested and is taken."""
    return f"Port {port} on {host} is taken by another program; stop it or choose another port."
