"""What a unit is asked to be, what it was observed to be, and what may go wrong in asking."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from apps.errors import Invalid, NotFound, Unavailable

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class UnitInvalid(Invalid):
    """A unit cannot be described like this."""

    code = "unit_invalid"


class UnitNotFound(NotFound):
    """There is no unit of that name."""

    code = "unit_not_found"


class UnitFileNotFound(NotFound):
    """The unit has not written a file of that name."""

    code = "unit_file_not_found"


class UnitFileRefused(Invalid):
    """The unit's file cannot be taken: it is too large, a link, or not a plain file."""

    code = "unit_file_refused"


class UnitsUnavailable(Unavailable):
    """Units cannot be started or observed on this machine at the moment."""

    code = "units_unavailable"


class UnitPhase(StrEnum):
    """What can be said about a unit that was started."""

    RUNNING = "running"  # its lock is held, or its process lives
    EXITED = "exited"  # its end was recorded, and nothing of it is left
    UNKNOWN = "unknown"  # it is gone and nobody recorded how


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitLimits:
    """What the kernel denies to a unit; each is a hard limit it cannot raise again."""

    open_files: int = 4096
    file_size_bytes: int = 1024**3
    #: Counted per uid by the kernel, so it is applied only where the unit has a uid of its own.
    processes: int = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitSpec:
    """One command to supervise.

    Attributes:
        name: unique among the units of one root; starting it again adopts it.
        argv: the command; it is visible to everybody on the machine, so never a secret.
        env: the command's whole environment (``HOME``, ``TMPDIR`` and ``INPUT_DIR`` are set if missing);
            it reaches the command through a pipe and is never written to disk.
        timeout_seconds: hard deadline, enforced by the shim even if nobody is left to ask for it.
        stop_grace_seconds: from SIGTERM to SIGKILL, at the deadline and after ``ask_to_stop``.
        account: whose uid it runs under when we are root; None gives the unit an account of its own name.
        is_ours: it runs under our own uid even when we are root, and nothing separates it from us: for
            programs of ours only, never for what a stranger wrote.
        workdir: an existing directory to start in, already handed over to the account
            (``Units.hand_over``); None gives a fresh one inside the unit's directory.
        inputs: plain file names to files that are copied, readable only, into ``INPUT_DIR``.
        log_limit_bytes: the most that is kept of stdout and stderr together: its beginning and its end.
        limits: what the kernel denies.
        cache: whether ``UV_CACHE_DIR`` names a package cache the unit may use.
        on_exit: (Celery task name, its keyword arguments), handed to the ``ExitWatcher``'s callback.
        labels: words kept with the unit for whoever lists them.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_seconds: float
    stop_grace_seconds: float = 10.0
    account: str | None = None
    is_ours: bool = False
    workdir: Path | None = None
    inputs: Mapping[str, Path] = field(default_factory=dict)
    log_limit_bytes: int = 1024**2
    limits: UnitLimits = field(default_factory=UnitLimits)
    cache: bool = False
    on_exit: tuple[str, Mapping[str, Any]] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what could leave the unit's directory or could never start.

        Raises:
            UnitInvalid: naming the field.
        """
        check_name(self.name)
        if self.account is not None:
            check_name(self.account)
        for name in self.inputs:
            check_name(name)
        if not self.argv or any("\0" in word for word in self.argv):
            raise UnitInvalid("argv must be a command without null characters", details={"argv": self.name})
        for key, value in self.env.items():
            if not key or "=" in key or "\0" in key + value:
                raise UnitInvalid("env has an impossible name or value", details={"env": key[:100]})
        if self.timeout_seconds <= 0 or self.stop_grace_seconds < 0 or self.log_limit_bytes < 4:
            raise UnitInvalid("limits must be positive", details={"name": self.name})


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitState:
    """One unit as it was observed."""

    name: str
    phase: UnitPhase
    exit_code: int | None = None  # None while it runs, when unknown, and when a signal ended it
    signal: int | None = None
    timed_out: bool = False  # its deadline passed before it ended
    started_at: datetime
    finished_at: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


def check_name(name: str) -> str:
    """Return a name that is safe as one path component.

    Raises:
        UnitInvalid: it is not.
    """
    if not _NAME.fullmatch(name):
        raise UnitInvalid("a name is 1 to 100 letters, digits, '_', '.', '-'", details={"name": name[:100]})
    return name
