"""The key file: period keys outside the database, themselves sealed by `WAYBILL_SECRET`.

Every order has its own data key, wrapped by the period key of the week in which the order arrived. Destroying the
wrapped data key erases the order; destroying a period key makes the backups of that week unreadable. If the file or the
secret is lost, all buyer data is lost; therefore a desk that has had the file refuses to start without it.

Documents that outlive their buyers (`webapp.vault.document_keys`) have keys of a second class, one a month, which no
week's end touches.
"""

import base64
import fcntl
import json
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from webapp.clock import now
from webapp.config import configuration
from webapp.errors import DeskError
from webapp.i18n import lazy_gettext as _l

MONTHS = "documents-"  # begins the names of the second class
_NONCE = 12
_PROOF = "proof"


class KeyProblem(DeskError):
    """The key file is missing, unreadable, or was sealed by another secret."""

    code, status = "key_problem", 503
    sentence = _l("The key file %(path)s can't be used: %(problem)s")


def encrypt(key: bytes, plain: bytes, context: str) -> bytes:
    """AES-256-GCM under a fresh nonce, bound to its context: a sealed value moved elsewhere does not open."""
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plain, context.encode())


def decrypt(key: bytes, sealed: bytes, context: str) -> bytes:
    return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], context.encode())


def derive(secret: str, salt: bytes, purpose: str) -> bytes:
    """A 256-bit key for one purpose from the desk's secret (HKDF-SHA256)."""
    return HKDF(hashes.SHA256(), 32, salt, b"waybill:" + purpose.encode()).derive(secret.encode())


def period_of(at: datetime) -> str:
    year, week, _ = at.isocalendar()
    return f"{year}-W{week:02d}"


def month_of(at: datetime) -> str:
    """The period of the key that wraps the data keys of documents sealed at this moment."""
    return f"{MONTHS}{at:%Y-%m}"


def is_month(period: str) -> bool:
    """Whether a period is a month of documents; otherwise it is a week of orders."""
    return period.startswith(MONTHS)


class KeyFile:
    """The period keys of this desk; safe to use from many threads and processes at once."""

    def __init__(self, path: Path, secret: str) -> None:
        self.path = path
        self._secret = secret
        self._salt = b""
        self._keys: dict[str, bytes | None] = {}  # None: destroyed
        self._lock = threading.Lock()
        self._read_at: tuple[int, int] | None = None
        self._blind: bytes | None = None

    def create(self) -> None:
        """Make the file if there is none yet; `migrate` calls this for a desk without orders, nobody else does."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._writing():
            if not self.path.exists():
                self._salt = secrets.token_bytes(16)
                self._write({"version": 1, "salt": base64.b64encode(self._salt).decode(), "periods": {}})

    def current(self) -> tuple[str, bytes]:
        """The current week's period and its key, which is created at its first use."""
        return self._made(period_of(now()))

    def current_month(self) -> tuple[str, bytes]:
        """The period of this month's documents and its key, which is created at its first use."""
        return self._made(month_of(now()))

    def _made(self, period: str) -> tuple[str, bytes]:
        if (key := self._find(period)) is not None:
            return period, key
        with self._writing():
            content = self._read()
            if (key := self._keys.get(period)) is None:
                key = secrets.token_bytes(32)
                content["periods"][period] = base64.b64encode(encrypt(self._wrapping(), key, period)).decode()
                self._write(content)
                self._read()
        return period, key

    def key(self, period: str) -> bytes | None:
        """The key of a period; None if it has been destroyed or was never in this file."""
        return self._find(period)

    def check_known(self, period: str) -> None:
        """Raise `KeyProblem` if the file lacks a period that it did not destroy: then it is an older copy."""
        self._refresh()
        if period not in self._keys:
            problem = _l("the key for %(period)s is missing. Restore the newer copy.", period=period)
            raise KeyProblem(path=self.path, problem=problem)

    def is_destroyed(self, period: str) -> bool:
        """Whether the period's key was destroyed. A key that was never in this file may be in another copy of it."""
        self._refresh()
        return period in self._keys and self._keys[period] is None

    def blind(self) -> bytes:
        """The key of the blind index: unchanged for the life of the key file."""
        self._refresh()
        blind = self._blind
        if blind is None:
            blind = self._blind = derive(self._secret, self._salt, "search")
        return blind

    def destroy(self, period: str) -> None:
        """Destroy the key of this period: everything sealed under it becomes unreadable, also in backups of the
        database.
        """
        with self._writing():
            content = self._read()  # proves that the secret is right, since the file is written with a proof of it
            content["periods"][period] = None  # its name stays, so that a destroyed key differs from a missing one
            self._write(content)
            self._read()

    def check(self) -> None:
        """Raise `KeyProblem` unless every key in the file opens."""
        self._read()

    def _find(self, period: str) -> bytes | None:
        self._refresh()  # another process may have destroyed it
        return self._keys.get(period)

    def _refresh(self) -> None:
        with self._lock:
            try:
                stat = self.path.stat()
            except FileNotFoundError:
                raise KeyProblem(path=self.path, problem=_l("the file is missing. Restore its copy.")) from None
            if self._read_at != (stat.st_mtime_ns, stat.st_ino):
                self._read()

    def _read(self) -> dict[str, Any]:
        """Read and open all keys; returns the content of the file."""
        content = self._content()
        stat = self.path.stat()
        self._salt, self._blind = base64.b64decode(content["salt"]), None
        wrapping = self._wrapping()
        try:
            if proof := content.get("proof"):  # a file of an earlier version gets the proof with its next key
                decrypt(wrapping, base64.b64decode(proof), _PROOF)
            self._keys = {
                period: decrypt(wrapping, base64.b64decode(sealed), period) if sealed is not None else None
                for period, sealed in content["periods"].items()
            }
        except InvalidTag:
            problem = _l("it was encrypted with another WAYBILL_SECRET. Set that secret.")
            raise KeyProblem(path=self.path, problem=problem) from None
        except (ValueError, TypeError):
            raise KeyProblem(path=self.path, problem=_l("it is damaged. Restore its copy.")) from None
        self._read_at = (stat.st_mtime_ns, stat.st_ino)
        return content

    def _content(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_text())
            base64.b64decode(content["salt"])
            content["periods"].items()
        except FileNotFoundError:
            raise KeyProblem(path=self.path, problem=_l("the file is missing. Restore its copy.")) from None
        except OSError as error:
            raise KeyProblem(path=self.path, problem=error.strerror or "?") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise KeyProblem(path=self.path, problem=_l("it is damaged. Restore its copy.")) from None
        return dict(content)

    def _wrapping(self) -> bytes:
        return derive(self._secret, self._salt or base64.b64decode(self._content()["salt"]), "keys")

    def _write(self, content: dict[str, Any]) -> None:
        """Write the file, with a sealed proof by which the secret is recognized also while there are no keys."""
        content.setdefault("proof", base64.b64encode(encrypt(self._wrapping(), b"waybill", _PROOF)).decode())
        temporary = self.path.with_suffix(f".{os.getpid()}.tmp")
        with open(os.open(temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
            json.dump(content, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with open(self.path.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@lru_cache(maxsize=4)
def _key_file(path: Path, secret: str) -> KeyFile:
    return KeyFile(path, secret)


def key_file() -> KeyFile:
    """The key file of this desk."""
    return _key_file(configuration().keys, configuration().secret_value())


def seal_secret(text: str) -> str:
    """Seal a secret of the desk itself (a store's credentials, a cached token) as text."""
    key = derive(configuration().secret_value(), b"desk", "secrets")
    return base64.urlsafe_b64encode(encrypt(key, text.encode(), "secret")).decode()


def open_secret(sealed: str) -> str:
    """The text of a sealed secret; `KeyProblem` where it was sealed by another `WAYBILL_SECRET`."""
    key = derive(configuration().secret_value(), b"desk", "secrets")
    try:
        return decrypt(key, base64.urlsafe_b64decode(sealed), "secret").decode()
    except (InvalidTag, ValueError):
        raise KeyProblem(
            path="WAYBILL_SECRET",
            problem=_l("it is not the file with which the stored secrets were encrypted. Restore that file."),
        ) from None
