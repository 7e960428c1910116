"""A server that speaks SSH and runs what it is told on this machine, as the account behind it would.

    with ssh_server({"PATH": "/usr/bin:/bin", "HOME": str(place)}) as server:
        server.port, server.host_key, server.identity, server.commands

Only the protocol and its keys are the point: it is no boundary.
"""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import asyncssh

_BYTES: Final = 65_536


def make_key() -> asyncssh.SSHKey:
    """Return a new key of the kind that servers have today."""
    return asyncssh.generate_private_key("ssh-ed25519")


def public_part(key: asyncssh.SSHKey) -> str:
    """Return type and key, as in a known_hosts file."""
    return key.export_public_key().decode().strip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Whose rights commands have instead of the test's own."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


class SshServer:
    """What a test knows of a server.

    Attributes:
        host: the address at which it listens.
        port: where it listens there.
        host_key: what proves that it is the one.
        identity: the private key that it lets in.
        commands: what it was told, in order.
        most_at_once: how many commands ever ran at a time.
        environment: the variables of its account.
        connections: whoever has logged in.

    """

    user: Final = "deploy"

    def __init__(
        self, environment: Mapping[str, str], account: Account | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.environment = dict(environment)
        self._account = account
        self.host, self.port = host, 0
        self.commands: list[str] = []
        self.running = self.most_at_once = 0
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self._key, self._login = make_key(), make_key()
        self.host_key = public_part(self._key)
        self.identity = self._login.export_private_key("openssh").decode()

    async def listen(self) -> asyncssh.SSHAcceptor:
        """Begin to listen."""
        listener = await asyncssh.listen(
            self.host,
            0,
            server_host_keys=[self._key],
            authorized_client_keys=asyncssh.import_authorized_keys(public_part(self._login)),
            process_factory=self._serve,
            acceptor=self.connections.add,
            encoding=None,
        )
        self.port = listener.get_port()
        return listener

    async def _serve(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        command = process.command or "true"
        self.commands.append(command)
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        pipe = asyncio.subprocess.PIPE
        mine = self._account
        child = await asyncio.create_subprocess_exec(
            *("sh", "-c", command),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            user=mine.uid if mine else None,
            group=mine.gid if mine else None,
            extra_groups=mine.groups if mine else None,
            env=self.environment,
            start_new_session=True,
        )
        given = asyncio.create_task(_copy(process.stdin, child.stdin, ends=True))
        try:
            await asyncio.gather(_copy(child.stdout, process.stdout), _copy(child.stderr, process.stderr))
            process.exit(await child.wait())
        finally:
            self.running -= 1
            given.cancel()
            await _leave(child)


async def _leave(child: asyncio.subprocess.Process) -> None:
    """End what a client that is gone has left, and read it to its end: an open pipe is a warning."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    await child.communicate()


async def _copy(source: Any, target: Any, *, ends: bool = False) -> None:
    """Copy until the source ends; nobody minds that the target no longer listens."""
    try:
        while block := await source.read(_BYTES):
            target.write(block)
            await target.drain()
        if ends:
            target.close()
    except (BrokenPipeError, ConnectionError):
        return


@contextmanager
def ssh_server(
    environment: Mapping[str, str], account: Account | None = None, host: str = "127.0.0.1"
) -> Iterator[SshServer]:
    """Run a server for the length of a block.

    Args:
        environment: the variables of the account that commands run under, and no others.
        account: that account; it may be another one than the test's only if that is root's.
        host: the address to listen at.

    """
    server, loop = SshServer(environment, account, host), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="ssh", daemon=True)
    thread.start()
    try:
        listener = asyncio.run_coroutine_threadsafe(server.listen(), loop).result(20)
        try:
            yield server
        finally:
            asyncio.run_coroutine_threadsafe(_end(server, listener), loop).result(20)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


async def _end(server: SshServer, listener: asyncssh.SSHAcceptor) -> None:
    listener.close()
    await listener.wait_closed()
    for connection in server.connections:
        connection.abort()
        await connection.wait_closed()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
