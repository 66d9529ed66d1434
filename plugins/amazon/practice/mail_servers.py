"""The servers of mail beside the HTTP server, on 127.0.0.1, in one thread: the mail server, and the mailbox."""

import asyncio
from collections.abc import Awaitable, Callable
from threading import Thread
from typing import Final

from plugins.amazon.practice import imap, smtp
from plugins.amazon.practice.practice import Practice

HOST: Final = "127.0.0.1"
MOST: Final = 50  # connections to the mailbox at once


class MailServers:
    """Both servers of a practice Amazon."""

    def __init__(self, practice: Practice) -> None:
        self._practice = practice
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True, name="practice-mail")
        self._servers: list[asyncio.Server] = []
        self._readers: set[asyncio.Task[None]] = set()

    def start(self, smtp_port: int = 0, imap_port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises OSError if a port is taken."""
        self._thread.start()
        try:
            practice = self._practice
            practice.smtp_port = self._run(self._listen_smtp, smtp_port)
            practice.imap_port = self._run(self._listen_imap, imap_port)
        except BaseException:
            self.stop()
            raise

    def _run(self, listen: Callable[[int], Awaitable[asyncio.Server]], port: int) -> int:
        async def listening() -> asyncio.Server:
            return await listen(port)

        server = asyncio.run_coroutine_threadsafe(listening(), self._loop).result(30)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _listen_smtp(self, port: int) -> asyncio.Server:
        return await self._loop.create_server(lambda: smtp.protocol(self._practice, self._loop), HOST, port)

    async def _listen_imap(self, port: int) -> asyncio.Server:
        return await asyncio.start_server(self._read, HOST, port, limit=imap.LONGEST)

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._readers) >= MOST:
            writer.close()
            return
        task = asyncio.current_task()
        if task is not None:
            self._readers.add(task)
            task.add_done_callback(self._readers.discard)
        await imap.Connection(self._practice, reader, writer).run()

    def stop(self) -> None:
        """Close everything, also conversations under way."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()
        self._practice.smtp_port = self._practice.imap_port = 0

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
