"""The ``process`` runtime: each container is a supervised unit of this machine.

**This is no isolation.** A unit sees the machine's file system and network. As
root it at least runs under a uid of its own, which can read neither our secrets
nor another unit's files and cannot gain privileges. As an ordinary user it runs
as ourselves and could do all we can. ``image``, ``memory_bytes``, ``cpus``,
``network``, ``read_only_root``, ``temporary_bytes`` and ``own_init`` have no
effect, ``pids_limit`` only as root. ``mounts`` are refused.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from apps.units import beside
from apps.units.beside import UnitNotRunning
from apps.units.environment import base_environment
from apps.units.spec import (
    UnitFileNotFound,
    UnitFileRefused,
    UnitInvalid,
    UnitLimits,
    UnitNotFound,
    UnitPhase,
    UnitSpec,
    UnitState,
    UnitsUnavailable,
)
from apps.units.supervisor import Units
from apps.units.toolchain import Toolchain
from apps.workers.runtime import base
from worker_image.contract import ENV_WORKSPACE_DIR

_SIGNAL_BASE = 128


class ProcessRuntime:
    """The ``ContainerRuntime`` over ``apps.units``.

    Args:
        units: where the units live.
        tools: what ``toolchain.prepare`` returned.
        outer: our own environment, of which installers' settings are handed on.
    """

    def __init__(self, units: Units, *, tools: Toolchain, outer: Mapping[str, str]) -> None:
        self._units = units
        self._base = base_environment(tools, outer=outer)

    def start(self, spec: base.ContainerSpec) -> None:
        """Start or adopt a unit of this name."""
        if spec.mounts:
            raise base.ContainerRefused(
                "Workers as plain processes cannot be given directories of this machine.",
                code="mounts_unsupported",
            )
        with _translated():
            work = str(self._units.expected_work_directory(spec.name))
            environment = {**self._base, ENV_WORKSPACE_DIR: work, **spec.environment}
            if spec.home is not None:
                environment = {"HOME": str(beside.make_home(self._units, spec.home)), **environment}
            self._units.start(_unit_spec(spec, environment))

    def inspect(self, name: str) -> base.ContainerState | None:
        """Observe a unit."""
        with _translated():
            state = self._units.inspect(name)
        return None if state is None else self._container_state(state)

    def logs(self, name: str, *, tail_bytes: int) -> str:
        """Return the end of a unit's output."""
        with _translated():
            return self._units.logs(name, tail_bytes=tail_bytes)

    def fetch(self, name: str, path: str, *, limit_bytes: int) -> bytes:
        """Return a file from a unit's work directory."""
        with _translated():
            return self._units.fetch(name, path, limit_bytes=limit_bytes)

    def ask_to_stop(self, name: str) -> None:
        """Send SIGTERM; here the unit's supervisor kills it after the grace period."""
        with _translated():
            self._units.ask_to_stop(name)

        self._wake(name)

    def pause(self, name: str) -> None:
        """Stop a unit's processes; one that is just being forked may need a second call."""
        with _translated():
            beside.pause(self._units, name)

    def unpause(self, name: str) -> None:
        """Let a unit's processes go on."""
        with _translated():
            beside.unpause(self._units, name)

    def exec(
        self,
        name: str,
        command: Sequence[str],
        *,
        user: str = base.USER,
        timeout_seconds: float = base.EXEC_SECONDS,
    ) -> base.ExecResult:
        """Run a short command under a unit's account."""
        if user != base.USER:
            raise base.ContainerRefused("A unit has one account only.", details={"user": user})
        if self._is_paused(name):
            raise base.ContainerNotRunning(details={"name": name})
        with _translated():
            done = beside.execute(
                self._units,
                name,
                command,
                env=self._base,
                timeout_seconds=timeout_seconds,
                limit_bytes=base.EXEC_OUTPUT_BYTES,
                flood_bytes=base.EXEC_FLOOD_BYTES,
            )
        output = done.output.decode(errors="replace")
        return base.ExecResult(exit_code=done.exit_code, output=output, is_flood=done.is_flood)

    def remove(self, name: str) -> None:
        """Kill and delete a unit."""
        with _translated():
            self._units.remove(name)

    def remove_home(self, home: str) -> None:
        """Delete a home directory."""
        with _translated():
            beside.remove_home(self._units, home)

    def remove_leftovers(self, *, min_age_seconds: float) -> list[str]:
        """Do nothing: a half-made unit is made anew by the next start, and removed with its name."""
        del min_age_seconds
        return []

    def disk_use(self) -> Mapping[str, int]:
        """Return what the running units' directories take; the shared cache is not theirs."""
        with _translated():
            running = [unit.name for unit in self._units.list_owned() if unit.phase is UnitPhase.RUNNING]
            return beside.disk_use(self._units, running)

    def list_owned(self) -> list[base.ContainerState]:
        """Observe every unit."""
        with _translated():
            return [self._container_state(state) for state in self._units.list_owned()]

    def _wake(self, name: str) -> None:
        """Let a stopped process take notice of a signal."""
        if self._is_paused(name):
            with contextlib.suppress(base.ContainerNotFound, base.ContainerNotRunning):
                self.unpause(name)

    def _is_paused(self, name: str) -> bool:
        with _translated():
            return beside.is_paused(self._units, name)

    def _container_state(self, state: UnitState) -> base.ContainerState:
        found = _container_state(state)
        if found.phase is base.Phase.RUNNING and self._is_paused(state.name):
            return replace(found, phase=base.Phase.PAUSED)
        return found


def _unit_spec(spec: base.ContainerSpec, environment: Mapping[str, str]) -> UnitSpec:
    return UnitSpec(
        name=spec.name,
        argv=spec.command,
        env=environment,
        timeout_seconds=spec.deadline_seconds,
        stop_grace_seconds=spec.stop_grace_seconds,
        # Whose home it is: the same uid each time.
        account=spec.home,
        inputs=spec.inputs,
        limits=UnitLimits(processes=spec.pids_limit),
        cache=spec.cache,
        on_exit=spec.on_exit,
        labels=spec.labels,
    )


def _container_state(state: UnitState) -> base.ContainerState:
    exit_code = state.exit_code if state.signal is None else _SIGNAL_BASE + state.signal
    return base.ContainerState(
        name=state.name,
        phase=base.Phase(state.phase.value),
        exit_code=exit_code,
        timed_out=state.timed_out,
        started_at=state.started_at,
        finished_at=state.finished_at,
        labels=state.labels,
    )


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Say the unit's errors in the port's words."""
    try:
        yield
    except UnitNotFound as error:
        raise base.ContainerNotFound(details=error.details) from error
    except UnitFileNotFound as error:
        raise base.ContainerFileNotFound(details=error.details) from error
    except UnitFileRefused as error:
        raise base.ContainerFileRefused(error.message, details=error.details) from error
    except UnitNotRunning as error:
        raise base.ContainerNotRunning(details=error.details) from error
    except UnitInvalid as error:
        raise base.ContainerRefused(error.message, details=error.details) from error
    except (UnitsUnavailable, OSError) as error:
        raise base.RuntimeUnavailable(str(error)) from error
