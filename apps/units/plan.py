"""What the starter tells the shim, over a pipe: the only way the environment ever takes.

Standard library only and without ``typing``'s cost: the shim uses this module.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False  # a constant type checkers know; the real one costs an import at every start
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


class Plan:
    """Everything the shim needs to run one command.

    Attributes:
        directory: the unit's directory.
        work: the directory the command starts in.
        argv: the command.
        environment: the command's whole environment.
        uid: the uid (and gid) to run under, or None to keep the starter's.
        timeout_seconds: hard deadline after the start.
        stop_grace_seconds: from SIGTERM to SIGKILL.
        log_limit_bytes: the most that is kept of stdout and stderr together.
        limits: soft and hard resource limit by the kernel's number for it.
        cookie: the value of the variable that marks every process of this unit.
    """

    def __init__(
        self,
        *,
        directory: str,
        work: str,
        argv: Sequence[str],
        environment: Mapping[str, str],
        uid: int | None,
        timeout_seconds: float,
        stop_grace_seconds: float,
        log_limit_bytes: int,
        limits: Mapping[int, int],
        cookie: str,
    ) -> None:
        self.directory = directory
        self.work = work
        self.argv = list(argv)
        self.environment = dict(environment)
        self.uid = uid
        self.timeout_seconds = timeout_seconds
        self.stop_grace_seconds = stop_grace_seconds
        self.log_limit_bytes = log_limit_bytes
        self.limits = {int(key): value for key, value in limits.items()}
        self.cookie = cookie

    def dump(self) -> bytes:
        """Serialize for the pipe."""
        return json.dumps(vars(self)).encode()

    @classmethod
    def load(cls, content: bytes) -> Plan:
        """Read what ``dump`` wrote.

        Raises:
            ValueError: the starter died while it was writing.
        """
        document: dict[str, Any] = json.loads(content)
        return cls(**document)
