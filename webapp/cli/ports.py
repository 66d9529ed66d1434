"""Whether a port can be listened at, and the sentence where it can't. Choosing a free one is left to `up`."""

import socket


def is_free(port: int, host: str) -> bool:
    """Whether nobody listens there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # What a closed connection left behind is no obstacle; a program that listens is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def taken(port: int, host: str) -> str:
    """What there is to say of a port that was asked for."""
    return f"Port {port} on {host} is taken by another program; stop it or choose another port."
