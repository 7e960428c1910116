"""How our own key gets onto a server: by whatever lets us in the first time, under one host key for good.

The key is in the database before the server hears of it, and counts only once it let us in.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import asyncssh

from apps.errors import OrchestratorError, Unavailable

_LOGIN_SECONDS, _COMMAND_SECONDS = 20.0, 20.0
_RSA: Final = ("rsa-sha2-512", "rsa-sha2-256")
#: Adds the line that it is given unless it is there; nothing of it is said on the command line.
_ADD_KEY: Final = (
    "umask 077 && mkdir -p ~/.ssh && cd ~/.ssh && touch authorized_keys && IFS= read -r key && "
    '{ grep -qxF -e "$key" authorized_keys || {'
    # A last line that was left open would swallow ours.
    ' [ -z "$(tail -c 1 authorized_keys)" ] || echo >> authorized_keys;'
    " printf '%s\\n' \"$key\" >> authorized_keys; }; }"
)


class ServerUnreachable(Unavailable):
    """The server does not answer at its address and port."""

    code = "unreachable"


class HostKeyChanged(OrchestratorError):
    """The server shows another host key than before; nothing was said to it."""

    code = "host_key_changed"


class LoginRefused(OrchestratorError):
    """The server lets in none of the keys and passwords that we have for it."""

    code = "login_refused"


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where a server listens, and what proves that it is the one."""

    host: str
    port: int
    user: str
    host_key: str  # type and key


@dataclass(frozen=True, kw_only=True, slots=True)
class Secret:
    """One way in: a private key or a password."""

    private_key: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


class Login(Protocol):
    """The first steps on a server."""

    def seen_host_key(self, *, host: str, port: int) -> str:
        """Return the host key that a server shows: type and key.

        Raises:
            ServerUnreachable: nobody answers.
        """

    def install_key(
        self, address: Address, *, key: Secret, public_key: str, others: Sequence[Secret]
    ) -> None:
        """See to it that a key lets us in, by one of the other ways if it does not yet.

        Raises:
            HostKeyChanged, LoginRefused, ServerUnreachable: see there.
        """

    def try_key(self, address: Address, *, key: Secret) -> None:
        """See whether a key lets us in.

        Raises:
            HostKeyChanged, LoginRefused, ServerUnreachable: see there.
        """


class SshLogin:
    """The first steps, over SSH."""

    def seen_host_key(self, *, host: str, port: int) -> str:
        """See ``Login``."""
        return asyncio.run(_seen_host_key(host, port))

    def install_key(
        self, address: Address, *, key: Secret, public_key: str, others: Sequence[Secret]
    ) -> None:
        """See ``Login``."""
        asyncio.run(_install_key(address, key, public_key, others))

    def try_key(self, address: Address, *, key: Secret) -> None:
        """See ``Login``."""
        asyncio.run(_try_key(address, key))


async def _seen_host_key(host: str, port: int) -> str:
    try:
        async with asyncio.timeout(_LOGIN_SECONDS):
            key = await asyncssh.get_server_host_key(host, port, config=None)
    except (OSError, asyncssh.Error) as error:
        raise ServerUnreachable(f"Nobody answers at {host}, port {port}.") from error
    if key is None:
        raise ServerUnreachable(f"Who answers at {host}, port {port} shows no host key.")
    return " ".join(key.export_public_key().decode().split()[:2])


async def _install_key(address: Address, key: Secret, public_key: str, others: Sequence[Secret]) -> None:
    with contextlib.suppress(LoginRefused):
        return await _try_key(address, key)
    for other in others:
        with contextlib.suppress(LoginRefused):
            async with _connection(address, other) as connection:
                await _tell(connection, _ADD_KEY, f"{public_key}\n")
            return await _try_key(address, key)
    raise LoginRefused(details={"user": address.user, "tried": 1 + len(others)})


async def _try_key(address: Address, key: Secret) -> None:
    async with _connection(address, key) as connection:
        await _tell(connection, "true", "")


async def _tell(connection: asyncssh.SSHClientConnection, command: str, given: str) -> None:
    try:
        done = await connection.run(command, input=given, timeout=_COMMAND_SECONDS)
    except (OSError, asyncssh.Error) as error:
        raise ServerUnreachable("The server broke the connection off.") from error
    if done.exit_status != 0:
        # An account that may log in and may not run anything is as good as none.
        raise LoginRefused("The server lets us in, and does not do what it is told.")


@contextlib.asynccontextmanager
async def _connection(address: Address, secret: Secret) -> AsyncIterator[asyncssh.SSHClientConnection]:
    kind = address.host_key.partition(" ")[0]
    known = asyncssh.import_known_hosts(f"* {address.host_key}\n")
    try:
        async with asyncio.timeout(_LOGIN_SECONDS):
            connection = await asyncssh.connect(
                address.host,
                address.port,
                username=address.user,
                known_hosts=known,
                server_host_key_algs=list(_RSA) if kind == "ssh-rsa" else [kind],
                client_keys=[asyncssh.import_private_key(secret.private_key)] if secret.private_key else None,
                password=secret.password or None,
                preferred_auth=["publickey"] if secret.private_key else ["password", "keyboard-interactive"],
                agent_path=None,
                config=None,
            )
    except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as error:
        raise HostKeyChanged(details={"host": address.host}) from error
    except (asyncssh.PermissionDenied, asyncssh.KeyImportError) as error:
        raise LoginRefused() from error
    except (OSError, asyncssh.Error) as error:
        raise ServerUnreachable(f"Nobody answers at {address.host}, port {address.port}.") from error
    async with connection:
        yield connection
