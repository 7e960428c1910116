"""One command on a server over SSH: a pinned host key, our own key from memory, a deadline on all of it."""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncssh

from apps.infra.targets.base import TargetUnavailable

_ANSWER_BYTES: Final = 1_048_576
_BLOCK: Final = 262_144
_CONNECT_SECONDS: Final = 15.0
_RSA: Final = ("rsa-sha2-512", "rsa-sha2-256")
#: Our program is not on the server yet.
ABSENT: Final = 97


class ServerUnreachable(TargetUnavailable):
    """The server does not answer."""

    code = "server_unreachable"


class ServerRefuses(TargetUnavailable):
    """The server does not let our key in, or shows another host key than before."""

    code = "server_refuses"


@dataclass(frozen=True, kw_only=True, slots=True)
class SshAccess:
    """How a server is logged in to."""

    host: str
    port: int
    user: str
    host_key: str  # type and key; who shows another one is told nothing
    private_key: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What a command came to."""

    code: int
    output: bytes
    complaint: str  # the end of what it said to people


def run(
    access: SshAccess, command: str, *, given: bytes = b"", file: Path | None = None, seconds: float
) -> Said:
    """Run a command on a server; what it is given goes through its input and shows nowhere.

    Args:
        access: the server.
        command: for the account's shell; holds no secret.
        given: what its input begins with.
        file: what its input goes on with.
        seconds: how long all of it may take, the connection included.

    Raises:
        ServerRefuses: nobody but a person can change that.
        ServerUnreachable: it does not answer, or not in time.
    """
    try:
        return asyncio.run(_run(access, command, given, file, seconds))
    except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as error:
        raise ServerRefuses("The server shows another host key than before.") from error
    except (asyncssh.PermissionDenied, asyncssh.KeyImportError) as error:
        raise ServerRefuses("The server does not let our key in.") from error
    except (OSError, asyncssh.Error) as error:
        raise ServerUnreachable(details={"error": type(error).__name__}) from error


def answer_of(said: Said) -> dict[str, Any]:
    """Read what our program answered.

    Raises:
        TargetUnavailable: it did not come to its end, or refused.
    """
    try:
        answer = json.loads(said.output)
    except ValueError:
        answer = None
    if said.code != 0 or not isinstance(answer, dict):
        text = said.complaint.strip().rpartition("\n")[2][-200:]
        raise TargetUnavailable(f"The server did not do what it was told: {text or said.code}")
    if "refused" in answer:
        raise TargetUnavailable(f"The server refused: {str(answer['refused'])[:200]}")
    return answer


async def _run(access: SshAccess, command: str, given: bytes, file: Path | None, seconds: float) -> Said:
    kind = access.host_key.partition(" ")[0]
    options: dict[str, Any] = {
        "username": access.user,
        "known_hosts": ([asyncssh.import_public_key(access.host_key)], [], []),
        "server_host_key_algs": list(_RSA) if kind == "ssh-rsa" else [kind],
        "client_keys": [asyncssh.import_private_key(access.private_key)],
        "preferred_auth": ["publickey"],
        "connect_timeout": _CONNECT_SECONDS,
        "agent_path": None,
        "config": None,
    }
    async with asyncio.timeout(seconds):
        async with (
            asyncssh.connect(access.host, access.port, **options) as connection,
            connection.create_process(command, encoding=None) as process,
        ):
            output = asyncio.create_task(_read(process.stdout))
            complaint = asyncio.create_task(_read(process.stderr))
            await _give(process, given, file)
            texts = await asyncio.gather(output, complaint)
            await process.wait_closed()
            code = process.exit_status
            return Said(
                code=-1 if code is None else code,
                output=texts[0],
                complaint=texts[1][-2_000:].decode(errors="replace"),
            )


async def _give(process: "asyncssh.SSHClientProcess[bytes]", given: bytes, file: Path | None) -> None:
    try:
        process.stdin.write(given)
        if file is not None:
            with file.open("rb") as source:
                while block := source.read(_BLOCK):
                    process.stdin.write(block)
                    await process.stdin.drain()
        await process.stdin.drain()
        process.stdin.write_eof()
    except (BrokenPipeError, ConnectionError):
        return  # it does not listen; what it says and its exit code tell why


async def _read(source: "asyncssh.SSHReader[bytes]") -> bytes:
    """Read to the end; of an endless answer only the beginning is kept."""
    parts, length = [], 0
    while part := await source.read(_BLOCK):
        if length < _ANSWER_BYTES:
            parts.append(part)
            length += len(part)
    return b"".join(parts)
