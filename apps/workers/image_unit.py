"""The detached process that builds an image: what it is given, and what it says at its end."""

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol

from apps.errors import NotFound
from apps.units.spec import UnitFileRefused, UnitPhase, UnitSpec
from apps.units.supervisor import Units
from apps.workers.image_builder import Packed
from apps.workers.models import WorkerImage
from apps.workers.runtime import image_build

_LOG_LIMIT_BYTES: Final = 4 * 1024**2
_MAX_COMMAND_CHARACTERS: Final = 2_000


class BuildPhase(StrEnum):
    """What is known of an image's latest build."""

    RUNNING = "running"
    ENDED = "ended"  # what it said can be read
    LOST = "lost"  # it is gone and nobody recorded how


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildResult:
    """What a build said at its end; ``code`` is empty after a success."""

    code: str
    message: str = ""
    failed_command: str = ""


class Builds(Protocol):
    """Builds of images, one per row at a time, that outlive whoever started them."""

    def start(self, row: WorkerImage, packed: Packed, *, seconds: float) -> None:
        """Start a build, or adopt the one that was started.

        Args:
            row: names the build.
            packed: what to build.
            seconds: hard deadline.

        Raises:
            Unavailable: the machine refuses; ask again.

        """
        ...

    def look(self, row: WorkerImage) -> BuildPhase | None:
        """Observe a build; None means that there is none."""
        ...

    def result(self, row: WorkerImage) -> BuildResult:
        """Return what a build said that has ended."""
        ...

    def log(self, row: WorkerImage, *, tail_bytes: int) -> str:
        """Return the end of what the build wrote; empty if nothing is left of it."""
        ...

    def remove(self, row: WorkerImage) -> None:
        """Kill and forget a build; absent is success.

        Raises:
            Unavailable: something of it may be left; ask again.

        """
        ...


class UnitBuilds:
    """The ``Builds`` of this machine, each a unit of our own.

    Args:
        units: of this machine.
        installation: whose images they are.
        sources: directory from which the program is started.
        locks: directory in which builds of this machine take turns.
        environment: the way to the daemon.

    """

    def __init__(
        self,
        units: Units,
        *,
        installation: str,
        sources: Path,
        locks: Path,
        environment: Mapping[str, str],
    ) -> None:
        self._units = units
        self._installation = installation
        self._sources = sources
        self._locks = locks
        self._environment = dict(environment)

    def start(self, row: WorkerImage, packed: Packed, *, seconds: float) -> None:
        """Start a build, or adopt the one that was started."""
        spec, archives = image_build.write_spec(
            packed.requests(), installation=self._installation, locks=self._locks
        )
        files = {image_build.SPEC: spec, **archives}
        with tempfile.TemporaryDirectory(prefix="image-") as directory:
            inputs = {name: Path(directory) / name for name in files}
            for name, path in inputs.items():
                path.write_bytes(files[name])
            self._units.start(self._unit(row, inputs, seconds))

    def look(self, row: WorkerImage) -> BuildPhase | None:
        """Observe a build; None means that there is none."""
        state = self._units.inspect(row.unit_name)
        if state is None:
            return None
        phases = {UnitPhase.RUNNING: BuildPhase.RUNNING, UnitPhase.EXITED: BuildPhase.ENDED}
        return phases.get(state.phase, BuildPhase.LOST)

    def result(self, row: WorkerImage) -> BuildResult:
        """Return what a build said that has ended."""
        try:
            text = self._units.fetch(
                row.unit_name, image_build.RESULT, limit_bytes=image_build.MAX_RESULT_BYTES
            )
            said: Mapping[str, Any] = json.loads(text)
        except (NotFound, UnitFileRefused, ValueError):
            return self._without_words(row)
        details: Mapping[str, Any] = said.get("details") or {}
        return BuildResult(
            code=str(said.get("code", "")),
            message=str(said.get("message", "")),
            failed_command=str(details.get("failed_command", ""))[:_MAX_COMMAND_CHARACTERS],
        )

    def log(self, row: WorkerImage, *, tail_bytes: int) -> str:
        """Return the end of what the build wrote; empty if nothing is left of it."""
        try:
            return self._units.logs(row.unit_name, tail_bytes=tail_bytes)
        except NotFound:
            return ""

    def remove(self, row: WorkerImage) -> None:
        """Kill and forget a build; absent is success."""
        self._units.remove(row.unit_name)

    def _without_words(self, row: WorkerImage) -> BuildResult:
        state = self._units.inspect(row.unit_name)
        if state is not None and state.timed_out:
            return BuildResult(code="image_build_timeout", message="The build took longer than it may.")
        return BuildResult(code="image_build_lost", message="The build ended without saying how.")

    def _unit(self, row: WorkerImage, inputs: Mapping[str, Path], seconds: float) -> UnitSpec:
        fixed = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": str(self._sources)}
        return UnitSpec(
            name=row.unit_name,
            argv=(sys.executable, "-m", "apps.workers.runtime.image_build"),
            env={**self._environment, **fixed},
            timeout_seconds=seconds,
            is_ours=True,
            inputs=inputs,
            log_limit_bytes=_LOG_LIMIT_BYTES,
            on_exit=("workers.reconcile_image", {"image_id": str(row.pk)}),
            labels={"owner": "codegen-orchestrator", "image": str(row.pk)},
        )
