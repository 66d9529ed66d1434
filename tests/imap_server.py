"""An IMAP server on this machine, which the desk reads."""

import asyncio
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

from imapclient import IMAPClient
from pymap.backend.dict import DictBackend
from pymap.imap import IMAPService

from tests.ports import unused_port
from webapp.audit.actor import Actor
from webapp.db import unit_of_work
from webapp.mail import mailboxes
from webapp.mail.models import Mailbox
from webapp.mail.server import PLAIN

USER, PASSWORD = "desk", "right"


class Postbox:
    """A folder of the server, into which mails are put."""

    def __init__(self, port: int, folder: str) -> None:
        self.port, self.folder = port, folder
        with self.client() as client:
            client.create_folder(folder)

    @contextmanager
    def client(self) -> Iterator[IMAPClient]:
        with IMAPClient("127.0.0.1", self.port, ssl=False, timeout=10) as client:
            client.login(USER, PASSWORD)
            yield client

    def put(self, *mails: bytes, at: datetime | None = None) -> None:
        with self.client() as client:
            for mail in mails:
                client.append(self.folder, mail, msg_time=at or datetime.now(UTC))

    def begin_again(self) -> None:
        """An empty folder of the same name, whose numbers mean other mails."""
        with self.client() as client:
            client.delete_folder(self.folder)
            client.create_folder(self.folder)

    def flags(self) -> list[tuple[Any, ...]]:
        with self.client() as client:
            client.select_folder(self.folder, readonly=True)
            return [found[b"FLAGS"] for found in client.fetch(client.search(), ["FLAGS"]).values()]

    def connect(self, actor: Actor, **values: Any) -> Mailbox:
        """This folder as a mailbox of the desk."""
        with unit_of_work():
            return mailboxes.add(self.values() | values, actor=actor)

    def values(self) -> dict[str, Any]:
        where = {"host": "127.0.0.1", "port": self.port, "security": PLAIN, "folder": self.folder}
        return {"name": "Answers", "user": USER, "password": PASSWORD, **where}


class ImapServer:
    """A server with as many folders as tests want."""

    def __init__(self) -> None:
        self.port = unused_port()
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(1))
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._folders = 0

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(20)
        self.folder()  # starts the thread that checks passwords

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(20)

    def folder(self) -> Postbox:
        self._folders += 1
        return Postbox(self.port, f"Folder{self._folders}")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        parser = ArgumentParser()
        DictBackend.add_subparser("dict", parser.add_subparsers(dest="backend"))
        IMAPService.add_arguments(parser)
        given = ["--host", "127.0.0.1", "--port", str(self.port), "--no-tls", "dict"]
        args = parser.parse_args([*given, "--demo-user", USER, "--demo-password", PASSWORD])
        args.passlib_cfg, args.debug = None, False
        backend, config = await DictBackend.init(args)
        config.apply_context()
        async with AsyncExitStack() as stack:
            await backend.start(stack)
            await IMAPService(backend, config).start(stack)
            self._ready.set()
            await self._end.wait()


@contextmanager
def imap_server() -> Iterator[ImapServer]:
    server = ImapServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
