"""Configuration: read once from the environment, with types; the start is refused with the name of a wrong variable.

Every variable begins with `WAYBILL_`, except `DATABASE_URL` and `REDIS_URL`, since every host knows these. `var/` (or
`WAYBILL_DATA_DIR`) contains everything that a desk writes, readable by its owner only.
"""

import fcntl
import hashlib
import os
import secrets
import tempfile
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from webapp.addresses import parsed

VERSION = "0.1.0"
ROOT = Path(__file__).resolve().parents[1]
PORT = 8000  # of the pages, unless WAYBILL_PORT says another
LONGEST_SOCKET_PATH = 100  # 104 bytes on macOS, 108 on Linux, with the terminating zero
_SERVER_CONNECTIONS = 90  # of the 100 that PostgreSQL allows by default; the rest is for commands and backups
_WORKER_CONNECTIONS = 4  # of a worker or a scheduler at most: its work, its lease, its queue's news
_SECOND_CONNECTIONS = 8  # of a process for threads that need one more for a moment
_FEWEST_CONNECTIONS = 8
_PRIVATE = "127.0.0.0/8, ::1, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7"


class ConfigurationProblem(Exception):
    """A wrong environment variable: one sentence that names it."""


class Configuration(BaseSettings):
    """Everything that a desk is told from outside."""

    model_config = SettingsConfigDict(
        env_prefix="WAYBILL_", env_ignore_empty=True, extra="ignore", populate_by_name=True, frozen=True
    )

    data_dir: Path = Path("var")
    database_url: str = Field("", validation_alias=AliasChoices("DATABASE_URL"))
    redis_url: str = Field("", validation_alias=AliasChoices("REDIS_URL"))
    secret: SecretStr = SecretStr("")
    key_file: Path | None = None
    host: str = "127.0.0.1"
    port: int | None = Field(None, ge=1, le=65535)
    url: str = ""
    proxies: str = _PRIVATE
    web_processes: int = Field(2, ge=1, le=64)
    web_threads: int = Field(64, ge=4, le=512)
    live_streams: int = Field(40, ge=0, le=500)
    worker_processes: int = Field(2, ge=1, le=64)  # of two or more, one never waits for a channel
    practice: bool = True
    practice_url: str = ""
    practice_smtp: str = ""
    practice_imap: SecretStr = SecretStr("")  # with a password
    custom_endpoints: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"
    language: Literal["en", "fr"] = "en"
    version: str = Field(VERSION, init=False)

    @field_validator("data_dir", "key_file")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path.expanduser().absolute() if path else None

    @field_validator("database_url")
    @classmethod
    def _database(cls, url: str) -> str:
        if not url:
            return url
        from sqlalchemy import make_url  # importing it takes time, and most desks name no database
        from sqlalchemy.exc import ArgumentError

        try:
            parsed = make_url(url)
        except ArgumentError:
            raise ValueError("is no database URL; expected postgresql://… or sqlite:///…") from None
        if parsed.drivername in ("postgres", "postgresql"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.drivername not in ("postgresql+psycopg", "sqlite"):
            raise ValueError(f"{parsed.drivername} is not supported; use postgresql:// or sqlite:///")
        if parsed.drivername == "sqlite":
            if parsed.database in (None, "", ":memory:"):
                raise ValueError("a desk has many processes and needs a file; expected sqlite:///…")
            if not str(parsed.database).startswith("file:"):  # Flask-SQLAlchemy would use a folder of Flask's
                parsed = parsed.set(database=str(Path(str(parsed.database)).expanduser().absolute()))
        return parsed.render_as_string(hide_password=False)

    @field_validator("redis_url")
    @classmethod
    def _queue(cls, url: str) -> str:
        if url and not url.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("is no Redis URL; expected redis://…, rediss://… or unix://…")
        return url

    @field_validator("proxies")
    @classmethod
    def _networks(cls, named: str) -> str:
        try:
            _networks(named)
        except ValueError:
            raise ValueError(
                "expected addresses or networks with commas between, such as 10.0.0.5, 10.1.0.0/16"
            ) from None
        return named

    def believes(self, address: str) -> bool:
        """Whether a connection from this address is a proxy's, whose headers are trusted; never without a configured
        URL.
        """
        return bool(self.url) and _is_in(address, self.proxies)

    @property
    def live_pages(self) -> int:
        """The maximum number of live pages of a process: each occupies a thread, and other requests need some."""
        return min(self.live_streams, self.web_threads * 5 // 8)

    @property
    def connections(self) -> int:
        """The maximum number of database connections of a process: one for each of its threads and some more; on a
        PostgreSQL server, no more than leaves room for all processes of the desk.
        """
        wanted = self.web_threads + _SECOND_CONNECTIONS
        if self.database.startswith("sqlite"):
            return wanted
        others = _WORKER_CONNECTIONS * (self.worker_processes + 1)
        return min(wanted, max((_SERVER_CONNECTIONS - others) // self.web_processes, _FEWEST_CONNECTIONS))

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir / 'waybill.db'}"

    @property
    def queue(self) -> str:
        return self.redis_url or f"unix://{quote(str(valkey_socket(self.data_dir)))}"

    @property
    def keys(self) -> Path:
        return self.key_file or self.data_dir / "keys.json"

    @property
    def secret_file(self) -> Path:
        """The file of the generated secret; unused if `WAYBILL_SECRET` is set."""
        return self.data_dir / "secret"

    def secret_value(self) -> str:
        """`WAYBILL_SECRET`, or one that is generated at the first start and kept in the data directory, readable by
        its owner only.

        Raises `ConfigurationProblem` if there is neither, but a key file that one of them sealed.
        """
        if given := self.secret.get_secret_value():
            return given
        path = self.secret_file
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            with open(self.data_dir / "secret.lock", "w") as lock:  # a desk's processes start at the same time
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not path.exists():
                    if self.keys.exists():
                        raise ConfigurationProblem(f"WAYBILL_SECRET is not set, and {path} is gone: put it back.")
                    fresh = self.data_dir / "secret.new"
                    with open(os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
                        file.write(secrets.token_urlsafe(48))
                    fresh.replace(path)
        return path.read_text().strip()


def write_for_the_owner_alone() -> None:
    """Close every file that this process and its children create to other users of the machine: also a database's
    journals, a queue's files and a plugin's.
    """
    os.umask(0o077)


@lru_cache(maxsize=4)
def _networks(named: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(name.strip()) for name in named.split(",") if name.strip())


@lru_cache(maxsize=1024)
def _is_in(address: str, named: str) -> bool:
    if not address:  # a socket in the file system, which only a proxy on this machine opens
        return True
    known = parsed(address)
    return known is not None and any(known in network for network in _networks(named))


def valkey_socket(data_dir: Path) -> Path:
    """The socket of this data directory's bundled Valkey; a path too long for a socket is replaced by a short one."""
    path = data_dir / "valkey.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"waybill-{os.getuid()}-{digest}.sock"


@lru_cache(maxsize=1)
def configuration() -> Configuration:
    """The configuration of this process; raises `ConfigurationProblem` with the variable that is wrong."""
    return read_configuration()


def read_configuration() -> Configuration:
    try:
        return Configuration()
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        variable = name if name.isupper() else f"WAYBILL_{name.upper()}"
        raise ConfigurationProblem(f"{variable}: {first['msg'].removeprefix('Value error, ')}") from None
