"""Writes the servers that an operator tells of: set up already, or to be set up by us."""

import re
from dataclasses import dataclass, field, replace
from typing import Any, Final

import asyncssh
from django.db import IntegrityError, transaction

from apps.errors import Invalid
from apps.infra import identities
from apps.infra.models import IdentityPurpose, Server, ServerKind, ServerStatus

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,252}[A-Za-z0-9])?")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_HOST_KEY = re.compile(r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-[a-z0-9]+) [A-Za-z0-9+/=]{40,}( \S+)?")
#: What is said once and stored as it is.
_COLUMNS: Final = (
    *("name", "host", "ssh_port", "ssh_user", "host_key"),
    *("port_range_start", "port_range_end", "admin_user"),
)
_KEY_CHARACTERS, _PASSWORD_CHARACTERS = 20_000, 200


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerWords:
    """What an operator says about a server reached by SSH.

    One that is set up already has a user, a host key and a private key for
    deployments; one that we shall set up lets somebody in who may do everything.
    """

    name: str
    host: str
    ssh_port: int
    ssh_user: str
    host_key: str  # type and key, as in a known_hosts file
    port_range_start: int
    port_range_end: int
    identity: str = field(default="", repr=False)  # the deployments' key; empty keeps the one that is stored
    needs_setup: bool = False
    admin_user: str = "root"
    admin_password: str = field(default="", repr=False)  # for the first login; empty keeps what is stored
    admin_identity: str = field(default="", repr=False)  # a private key for it instead of a password


def save_server(*, server_id: int | None, words: ServerWords) -> int:
    """Add a server reached by SSH, or change one; returns its id.

    One that needs a set-up stays discovered until somebody asks for the set-up.

    Raises:
        Invalid: ``details`` maps each refused field to its problem, never to a key.

    """
    words = _cleaned(words)
    problems = {name: problem for name, problem in problems_of(words).items() if problem}
    if problems:
        text = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
        raise Invalid(text, details=problems)
    fields = {name: getattr(words, name) for name in _COLUMNS}
    if words.admin_password:
        fields["admin_password"] = words.admin_password
    try:
        with transaction.atomic():
            return _write(server_id, fields, words)
    except IntegrityError as error:
        raise Invalid("name: is taken", details={"name": "is taken"}) from error


def _write(server_id: int | None, fields: dict[str, Any], words: ServerWords) -> int:
    if server_id is None:
        status = ServerStatus.DISCOVERED if words.needs_setup else ServerStatus.ACTIVE
        server_id = Server.objects.create(kind=ServerKind.SSH, status=status, **fields).pk
    elif not Server.objects.filter(pk=server_id, kind=ServerKind.SSH).update(**fields):
        return server_id
    keys = {IdentityPurpose.DEPLOY: words.identity, IdentityPurpose.ADMIN: words.admin_identity}
    for purpose, key in keys.items():
        if key:
            identities.store_installed(server_id=server_id, purpose=purpose, private_key=key)
    return server_id


def problems_of(words: ServerWords) -> dict[str, str | None]:
    """Tell what is wrong with what was said about a server, by field."""
    ports = 1024 <= words.port_range_start <= words.port_range_end <= 65_535
    # Whoever sets a server up makes its user and sees its host key.
    later = words.needs_setup
    return {
        "name": None
        if 0 < len(words.name) <= 60 and words.name.isprintable()
        else "must have 1 to 60 characters",
        "host": None if _HOST.fullmatch(words.host) else "must be a name or an address",
        "ssh_port": None if 0 < words.ssh_port < 65_536 else "must be a port",
        "ssh_user": _problem_of_user(words.ssh_user, may_be_empty=later),
        "host_key": None
        if _is_host_key(words.host_key) or (later and not words.host_key)
        else "must be type and key: ssh-ed25519 AAAA…",
        "identity": _problem_of_key(words.identity),
        "admin_user": _problem_of_user(words.admin_user),
        "admin_password": _problem_of_password(words.admin_password),
        "admin_identity": _problem_of_key(words.admin_identity),
        "port_range_start": None if ports else "must be 1024 to 65535, the first not above the last",
    }


def _is_host_key(said: str) -> bool:
    if not _HOST_KEY.fullmatch(said):
        return False
    try:
        asyncssh.import_public_key(said)
    except asyncssh.KeyImportError:
        return False
    return True


def _problem_of_user(name: str, *, may_be_empty: bool = False) -> str | None:
    is_well = _USER.fullmatch(name) or (may_be_empty and not name)
    return None if is_well else "must be a user of the server"


def _problem_of_password(password: str) -> str | None:
    is_well = not password or (len(password) <= _PASSWORD_CHARACTERS and password.isprintable())
    return None if is_well else f"must be one line of at most {_PASSWORD_CHARACTERS} characters"


def _problem_of_key(key: str) -> str | None:
    if not key:
        return None
    try:
        if len(key) <= _KEY_CHARACTERS:
            identities.read_key_pair(key)
            return None
    except Invalid:
        pass
    return "must be a private key in PEM or OpenSSH form, without a passphrase"


def _cleaned(words: ServerWords) -> ServerWords:
    return replace(
        words,
        name=words.name.strip(),
        host=words.host.strip(),
        ssh_user=words.ssh_user.strip(),
        host_key=" ".join(words.host_key.split()),
        identity=_key_text(words.identity),
        admin_user=words.admin_user.strip(),
        admin_identity=_key_text(words.admin_identity),
    )


def _key_text(said: str) -> str:
    key = said.replace("\r\n", "\n").strip()
    # Without a line break at its end ssh does not read it.
    return f"{key}\n" if key else ""
