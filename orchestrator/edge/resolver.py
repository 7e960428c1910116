"""Names to addresses: asked once per connection, with a deadline, in threads of its own."""

import asyncio
import ipaddress
import socket
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from orchestrator.edge.addresses import Address
from orchestrator.edge.answers import Refused

#: A question cannot be taken back; one source must not keep every thread busy with names that never answer,
#: nor may all the others together.
_PER_SOURCE: Final = 4
_MOST_THREADS: Final = 256

Lookup = Callable[[str], Sequence[str]]


def system_lookup(host: str) -> Sequence[str]:
    """Return the addresses that this machine knows for a name, in its order of preference.

    Raises:
        OSError: it knows none.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Resolver:
    """Asks for names on behalf of many sources."""

    def __init__(self, *, lookup: Lookup = system_lookup, seconds: float = 8.0, sources: int = 8) -> None:
        """Prepare to ask.

        Args:
            lookup: asks one name and blocks.
            seconds: the deadline of one answer, waiting for a free thread included.
            sources: how many there may be.
        """
        self._lookup = lookup
        self._seconds = seconds
        threads = min(_MOST_THREADS, _PER_SOURCE * sources)
        each = max(1, min(_PER_SOURCE, threads // sources))
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="edge-dns")
        self._turns: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(each))

    async def resolve(self, host: str, *, source: str) -> list[Address]:
        """Return the addresses of a host; an address is its own answer.

        Args:
            host: a name or an address.
            source: who asks; its questions wait for each other.

        Raises:
            Refused: 502, there is no such name; 504, nobody answered in time.
        """
        try:
            return [ipaddress.ip_address(host)]
        except ValueError:
            pass
        try:
            async with asyncio.timeout(self._seconds):
                return await self._ask(host, self._turns[source])
        except TimeoutError as error:
            raise Refused(504, f"The name {host} was not resolved within {self._seconds:g} s.") from error

    async def _ask(self, host: str, turns: asyncio.Semaphore) -> list[Address]:
        await turns.acquire()
        question = asyncio.get_running_loop().run_in_executor(self._threads, self._lookup, host)
        # The turn is over when the thread is free, not when nobody waits for it any more.
        question.add_done_callback(lambda ended: _release(turns, ended))
        try:
            found = await asyncio.shield(question)
        except (OSError, UnicodeError) as error:
            raise Refused(502, f"There is no host {host}.", detail=str(error)) from error
        return [ipaddress.ip_address(address.partition("%")[0]) for address in found]

    def close(self) -> None:
        """Take no more questions."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _release(turns: asyncio.Semaphore, ended: "asyncio.Future[Sequence[str]]") -> None:
    turns.release()
    if not ended.cancelled():
        # Whoever asked may have gone; an exception that nobody fetched would be complained about.
        ended.exception()
