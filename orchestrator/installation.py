"""Which installation this is, what its worker images begin with, and where its sockets are.

The id is the word on everything it owns on a Docker daemon that others use too.

Standard library only: the settings, the stack and the edge all ask it.
"""

import hashlib
import hmac
import os
from pathlib import Path
from typing import Final

#: A network interface's name has at most 15 characters: this prefix and twelve more.
_BRIDGE_PREFIX: Final = "cg-"
_ID_LENGTH: Final = 12

#: The kernel's limit of a socket's path is 107 bytes.
_SOCKET_PATH_LIMIT: Final = 100

#: What worker images are built on unless WORKERS_BASE_IMAGE names something else.
BASE_IMAGE: Final = "debian:bookworm-20250520-slim"
#: The same, made of Debian packages by scripts/base_image where nothing can be pulled.
LOCAL_BASE_IMAGE: Final = "codegen-debian:bookworm"


def installation_id(secret_key: str) -> str:
    """Return the id of the installation with this ``SECRET_KEY``: 12 hex digits that tell nothing of it."""
    return hmac.new(secret_key.encode(), b"installation", hashlib.sha256).hexdigest()[:_ID_LENGTH]


def bridge_name(installation: str) -> str:
    """Return the name of the network interface of the workers' bridge.

    It is derived, so the edge finds its address without asking any Docker daemon.
    """
    is_short = len(installation) <= _ID_LENGTH and installation.isalnum() and installation.isascii()
    word = installation if is_short else hashlib.sha256(installation.encode()).hexdigest()[:_ID_LENGTH]
    return f"{_BRIDGE_PREFIX}{word}"


def flower_socket(var_dir: Path) -> Path:
    """Return the socket at which Flower listens: below the state directory, unless that path is too long."""
    return _socket(var_dir, "flower.sock")


def entrance_socket(var_dir: Path) -> Path:
    """Return the socket at which one can ask where the projects' addresses lead at the moment."""
    return _socket(var_dir, "entrance.sock")


def _socket(var_dir: Path, name: str) -> Path:
    path = var_dir / "run" / name
    if len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:_ID_LENGTH]
    return Path(f"/tmp/codegen-{digest}/{name}")
