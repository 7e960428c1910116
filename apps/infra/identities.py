"""Keys of servers: made, stored before a server hears of them, and handed to whoever logs in.

A key pair is a row before it is installed, so no death between the two locks us out.
"""

import base64
import hashlib
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import transaction

from apps.errors import Invalid
from apps.infra.models import IdentityPurpose, IdentityStatus, Server, SshIdentity

_OPENSSH = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyPair:
    """A private key and what a server is told of it."""

    private_key: str = field(repr=False)
    public_key: str
    fingerprint: str


def make_key_pair(*, comment: str = "") -> KeyPair:
    """Return a new key pair.

    Args:
        comment: ends the public part, for whoever reads it on a server.
    """
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return _pair(private.decode(), key.public_key().public_bytes(*_OPENSSH).decode(), comment)


def read_key_pair(private_key: str) -> KeyPair:
    """Return the pair that a private key belongs to.

    Raises:
        Invalid: it is not a private key, or one with a passphrase; the message does not quote it.
    """
    for load in (serialization.load_ssh_private_key, serialization.load_pem_private_key):
        try:
            public = load(private_key.encode(), password=None).public_key()
            return _pair(private_key, public.public_bytes(*_OPENSSH).decode())
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
    raise Invalid("This is not a private key without a passphrase.", details={"key": "cannot be read"})


def find_installed(*, server_id: int, purpose: IdentityPurpose) -> SshIdentity | None:
    """Return the key that a server lets in for a purpose; None: there is none."""
    return SshIdentity.objects.filter(
        server_id=server_id, purpose=purpose, status=IdentityStatus.INSTALLED
    ).first()


def is_ours(identity: SshIdentity) -> bool:
    """Tell whether we made a key for its server, or an operator gave it to us."""
    return identity.public_key.endswith(_comment(identity.purpose, identity.server_id))


def ensure_candidate(*, server: Server, purpose: IdentityPurpose) -> SshIdentity:
    """Return the key that is to be installed on a server next; it is in the database when this returns.

    An earlier attempt's candidate is taken again: it may be on the server already.
    """
    with transaction.atomic():
        Server.objects.select_for_update().get(pk=server.pk)
        known = SshIdentity.objects.filter(
            server=server, purpose=purpose, status=IdentityStatus.CANDIDATE
        ).first()
        if known is not None:
            return known
        pair = make_key_pair(comment=_comment(purpose, server.pk))
        return SshIdentity.objects.create(server=server, purpose=purpose, **_columns(pair))


@transaction.atomic
def mark_installed(*, identity_id: int) -> None:
    """Record that a server lets a key in, and retire the one before; said again it changes nothing."""
    identity = SshIdentity.objects.select_related("server").get(pk=identity_id)
    Server.objects.select_for_update().get(pk=identity.server_id)
    if identity.reload().status != IdentityStatus.CANDIDATE:
        return
    _retire_installed(identity.server_id, identity.purpose)
    SshIdentity.transition(identity.pk, to=IdentityStatus.INSTALLED)


@transaction.atomic
def store_installed(*, server_id: int, purpose: IdentityPurpose, private_key: str) -> None:
    """Keep a key that an operator has put on a server; the present one of this purpose is retired.

    Raises:
        Invalid: it is not a private key.
    """
    pair = read_key_pair(private_key)
    Server.objects.select_for_update().get(pk=server_id)
    present = find_installed(server_id=server_id, purpose=purpose)
    if present is not None and present.private_key == private_key:
        return
    _retire_installed(server_id, purpose)
    SshIdentity.objects.create(
        server_id=server_id, purpose=purpose, status=IdentityStatus.INSTALLED, **_columns(pair)
    )


def retire_installed(*, server_id: int) -> None:
    """Record that a server lets none of its keys in any more; candidates stay. The caller has locked it."""
    for purpose in IdentityPurpose.values:
        _retire_installed(server_id, purpose)


def _retire_installed(server_id: int, purpose: str) -> None:
    rows = SshIdentity.objects.filter(server_id=server_id, purpose=purpose, status=IdentityStatus.INSTALLED)
    for pk in rows.values_list("pk", flat=True):
        SshIdentity.transition(pk, to=IdentityStatus.RETIRED)


def _comment(purpose: str, server_id: int) -> str:
    return f"codegen-{purpose}-{server_id}"


def _columns(pair: KeyPair) -> dict[str, str]:
    return {
        "private_key": pair.private_key,
        "public_key": pair.public_key,
        "fingerprint": pair.fingerprint,
    }


def _pair(private_key: str, public_key: str, comment: str = "") -> KeyPair:
    digest = hashlib.sha256(base64.b64decode(public_key.split()[1])).digest()
    fingerprint = "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
    return KeyPair(
        private_key=private_key, public_key=f"{public_key} {comment}".strip(), fingerprint=fingerprint
    )
