"""One look at servers over SSH: a bounded number at once, each with a time of its own.

A look never raises: what it came to is its outcome, and what could not be measured is None.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import asyncssh

logger = logging.getLogger(__name__)

_BYTES: Final = 4_096
_ANSWER_BYTES: Final = 262_144
_UNREADABLE_KEY: Final = "A stored key cannot be read."
_RSA: Final = ("rsa-sha2-512", "rsa-sha2-256")
#: What costs least first: a round may be a thousand key exchanges.
_KEX: Final = ("curve25519-sha256", "ecdh-sha2-nistp256", "diffie-hellman-group14-sha256")
#: Figures as name=number lines; a fuller disk of two is the one that counts.
COMMAND: Final = """
LC_ALL=C; export LC_ALL
echo "cpus=$(getconf _NPROCESSORS_ONLN 2>/dev/null)"
echo "load_1m=$(cut -d ' ' -f 1 /proc/loadavg 2>/dev/null)"
awk '/^MemTotal:/ {print "memory_total_kb=" $2} /^MemAvailable:/ {print "memory_available_kb=" $2}' \
/proc/meminfo 2>/dev/null
df -Pk / /var/lib/docker 2>/dev/null | awk 'NR > 1 && $2 > 0 && $3 / $2 >= w {w = $3 / $2; t = $2; f = $4}
END {if (t) {print "disk_total_kb=" t; print "disk_free_kb=" f}}'
if command -v docker >/dev/null 2>&1; then
  if ids=$(timeout 5 docker ps -q 2>/dev/null); then echo docker=1; echo "containers=$(echo $ids | wc -w)"
  else echo docker=0; fi
fi
echo end=1
"""


class Outcome(Enum):
    """What a look came to."""

    SEEN = "seen"
    UNREACHABLE = "unreachable"
    HOST_KEY_CHANGED = "host_key_changed"
    LOGIN_REFUSED = "login_refused"
    BROKEN = "broken"  # our own failure, or words that nobody understands: nothing is known


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """Who is looked at."""

    server_id: int
    host: str
    port: int
    user: str
    host_key: str  # type and key; who shows another one is told nothing
    private_key: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """What was measured; None: could not be."""

    cpus: int | None = None
    load_1m: float | None = None
    memory_total_mb: int | None = None
    memory_available_mb: int | None = None
    disk_total_mb: int | None = None
    disk_free_mb: int | None = None
    containers_running: int | None = None
    is_docker_well: bool | None = None  # None: there is no Docker


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What one look came to."""

    server_id: int
    outcome: Outcome
    measure: Measure | None = None
    error: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a server said to a command."""

    server_id: int
    text: str | None = None  # None: it did not get to say anything, or did not come to an end
    error: str = ""


async def look_at_all(subjects: Iterable[Subject], *, connections: int, seconds: float) -> list[Look]:
    """Look at servers, so many at once.

    Args:
        subjects: who.
        connections: how many at most are open at a time.
        seconds: how long one look may take.

    """
    waiting, looks = iter(subjects), list[Look]()

    async def work() -> None:
        for subject in waiting:
            looks.append(await look_at(subject, seconds=seconds))

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(work())
    return looks


async def ask_all(subjects: Iterable[Subject], command: str, *, seconds: float) -> list[Answer]:
    """Have a command of ours run on servers, on all at once.

    Args:
        subjects: whom; a few.
        command: for their shell.
        seconds: how long it may take on each.

    """

    async def ask(subject: Subject) -> Answer:
        try:
            async with asyncio.timeout(seconds):
                text = await _ask(subject, command, _ANSWER_BYTES)
        except asyncssh.KeyImportError:
            return Answer(server_id=subject.server_id, error=_UNREADABLE_KEY)
        except (OSError, asyncssh.Error) as error:
            return Answer(server_id=subject.server_id, error=type(error).__name__)
        except Exception as error:
            # One bad row is no reason not to ask the others.
            logger.exception("Server %s could not be asked", subject.server_id)
            return Answer(server_id=subject.server_id, error=type(error).__name__)
        return Answer(server_id=subject.server_id, text=text)

    return list(await asyncio.gather(*map(ask, subjects)))


async def look_at(subject: Subject, *, seconds: float) -> Look:
    """Look at one server once."""
    try:
        async with asyncio.timeout(seconds):
            text = await _ask(subject, COMMAND, _BYTES)
    except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed):
        return _ended(subject, Outcome.HOST_KEY_CHANGED)
    except asyncssh.PermissionDenied:
        return _ended(subject, Outcome.LOGIN_REFUSED)
    except asyncssh.KeyImportError:
        return _ended(subject, Outcome.BROKEN, _UNREADABLE_KEY)
    except (OSError, asyncssh.Error) as error:
        return _ended(subject, Outcome.UNREACHABLE, type(error).__name__)
    except Exception as error:
        logger.exception("Server %s could not be looked at", subject.server_id)
        return _ended(subject, Outcome.BROKEN, type(error).__name__)
    measure = read_measure(text)
    if measure is None:
        return _ended(subject, Outcome.BROKEN, "Its answer cannot be understood.")
    return Look(server_id=subject.server_id, outcome=Outcome.SEEN, measure=measure)


def read_measure(text: str) -> Measure | None:
    """Read what ``COMMAND`` printed; None if it did not come to its end. Pure."""
    said: dict[str, float] = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        try:
            said[name] = float(value)
        except ValueError:
            continue
    if "end" not in said:
        return None
    return Measure(
        cpus=_whole(said.get("cpus")),
        load_1m=_bounded(said.get("load_1m")),
        memory_total_mb=_whole(said.get("memory_total_kb"), per=1_024),
        memory_available_mb=_whole(said.get("memory_available_kb"), per=1_024),
        disk_total_mb=_whole(said.get("disk_total_kb"), per=1_024),
        disk_free_mb=_whole(said.get("disk_free_kb"), per=1_024),
        containers_running=_whole(said.get("containers")),
        is_docker_well=bool(said["docker"]) if "docker" in said else None,
    )


def _bounded(value: float | None) -> float | None:
    """Return a figure that a column can hold; a server may say anything."""
    return value if value is not None and 0 <= value < 2**31 else None


def _whole(value: float | None, *, per: int = 1) -> int | None:
    bounded = _bounded(None if value is None else value / per)
    return None if bounded is None else int(bounded)


def _ended(subject: Subject, outcome: Outcome, error: str = "") -> Look:
    return Look(server_id=subject.server_id, outcome=outcome, error=error)


async def _ask(subject: Subject, command: str, most: int) -> str:
    kind = subject.host_key.partition(" ")[0]
    options: dict[str, Any] = {
        "username": subject.user,
        "known_hosts": ([asyncssh.import_public_key(subject.host_key)], [], []),
        "server_host_key_algs": list(_RSA) if kind == "ssh-rsa" else [kind],
        "client_keys": [asyncssh.import_private_key(subject.private_key)],
        "preferred_auth": ["publickey"],
        "kex_algs": list(_KEX),
        "compression_algs": None,
        "agent_path": None,
        "config": None,
    }
    async with (
        asyncssh.connect(subject.host, subject.port, **options) as connection,
        connection.create_process(command, stderr=asyncssh.DEVNULL) as process,
    ):
        parts, length = [], 0
        while length < most and (part := await process.stdout.read(_BYTES)):
            parts.append(part)
            length += len(part)
        return "".join(parts)[:most]
