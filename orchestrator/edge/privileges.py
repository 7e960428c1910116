"""What a process of the edge may do on its machine: many connections, and nothing that only root may."""

import os
import resource
from typing import Final

import structlog

logger = structlog.get_logger(__name__)

OPEN_FILES: Final = 8_192


def become(uid: int) -> None:
    """As root, give every privilege up: from now on only strangers are talked to.

    Args:
        uid: nobody's.
    """
    if os.geteuid() != 0:
        return
    # Looked up with the first name otherwise, in a place that may be closed to others.
    "example".encode("idna")
    try:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    except OSError as error:
        logger.warning("edge_keeps_privileges", reason=error.strerror)


def allow_many_connections() -> None:
    """Raise the limit of open files as far as we need and may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
