"""A process that `up` starts beside the desk's own, as a plugin declares it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class PracticeStore:
    """A store that practices at such a process: its channel, name and settings."""

    channel: str
    name: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Process:
    """`argv(data_dir, port)` is run with this Python; `port` is the next free one from `preferred_port`.

    The desk's own processes get the environment variables of `variables(url)`, by which they find this process. With
    `further_ports` the process has more servers: `argv` and `variables` get a port for each as further arguments, the
    next free one from the one that is named.
    `ready_path` is requested until it answers 200. `stores(url)` are connected if the desk has no practice store yet.
    """

    name: str
    argv: Callable[..., Sequence[str]]
    preferred_port: int
    ready_path: str = "/"
    variables: Callable[..., Mapping[str, str]] = field(default=lambda url, *ports: {})
    wanted: Callable[[], bool] = field(default=lambda: True)
    stores: Callable[[str], Sequence[PracticeStore]] = field(default=lambda url: ())
    further_ports: Sequence[int] = ()
