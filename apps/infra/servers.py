"""Writes servers that workflows deploy to; how they are set up is their operator's business."""

import re
from dataclasses import dataclass, field

from django.db import IntegrityError, transaction

from apps.errors import Invalid
from apps.infra.models import Server, ServerKind, ServerStatus

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,252}[A-Za-z0-9])?")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_HOST_KEY = re.compile(r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-[a-z0-9]+) [A-Za-z0-9+/=]{40,}( \S+)?")
_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n.+\n-----END [A-Z ]*PRIVATE KEY-----\n?", re.DOTALL)
_KEY_CHARACTERS = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerWords:
    """What an operator says about a server reached by SSH."""

    name: str
    host: str
    ssh_port: int
    ssh_user: str
    host_key: str  # type and key, as in a known_hosts file
    port_range_start: int
    port_range_end: int
    identity: str = field(default="", repr=False)  # the private key; empty keeps the one that is stored


def save_server(*, server_id: int | None, words: ServerWords) -> int:
    """Add a server reached by SSH, or change one; returns its id.

    Raises:
        Invalid: ``details`` maps each refused field to its problem, never to a key.

    """
    words = _cleaned(words)
    problems = {name: problem for name, problem in problems_of(words).items() if problem}
    if problems:
        text = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
        raise Invalid(text, details=problems)
    fields = {
        "name": words.name,
        "host": words.host,
        "ssh_port": words.ssh_port,
        "ssh_user": words.ssh_user,
        "host_key": words.host_key,
        "port_range_start": words.port_range_start,
        "port_range_end": words.port_range_end,
        **({"identity": words.identity} if words.identity else {}),
    }
    try:
        with transaction.atomic():
            if server_id is None:
                return Server.objects.create(kind=ServerKind.SSH, status=ServerStatus.ACTIVE, **fields).pk
            Server.objects.filter(pk=server_id, kind=ServerKind.SSH).update(**fields)
            return server_id
    except IntegrityError as error:
        raise Invalid("name: is taken", details={"name": "is taken"}) from error


def problems_of(words: ServerWords) -> dict[str, str | None]:
    """Tell what is wrong with what was said about a server, by field."""
    ports = 1024 <= words.port_range_start <= words.port_range_end <= 65_535
    key = not words.identity or (len(words.identity) <= _KEY_CHARACTERS and _KEY.fullmatch(words.identity))
    return {
        "name": None
        if 0 < len(words.name) <= 60 and words.name.isprintable()
        else "must have 1 to 60 characters",
        "host": None if _HOST.fullmatch(words.host) else "must be a name or an address",
        "ssh_port": None if 0 < words.ssh_port < 65_536 else "must be a port",
        "ssh_user": None if _USER.fullmatch(words.ssh_user) else "must be a user of the server",
        "host_key": None
        if _HOST_KEY.fullmatch(words.host_key)
        else "must be type and key: ssh-ed25519 AAAA…",
        "identity": None if key else "must be a private key in PEM or OpenSSH form",
        "port_range_start": None if ports else "must be 1024 to 65535, the first not above the last",
    }


def _cleaned(words: ServerWords) -> ServerWords:
    key = words.identity.replace("\r\n", "\n").strip()
    return ServerWords(
        name=words.name.strip(),
        host=words.host.strip(),
        ssh_port=words.ssh_port,
        ssh_user=words.ssh_user.strip(),
        host_key=" ".join(words.host_key.split()),
        port_range_start=words.port_range_start,
        port_range_end=words.port_range_end,
        # Without a line break at its end ssh does not read it.
        identity=f"{key}\n" if key else "",
    )
