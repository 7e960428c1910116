"""The ``process`` runtime: each container is a supervised unit of this machine.

**This is no isolation.** A unit sees the machine's file system and network. As
root it at least runs under a uid of its own, which can read neither our secrets
nor another unit's files and cannot gain privileges. As an ordinary user it runs
as ourselves and could do all we can. ``image``, ``memory_bytes``, ``cpus``,
``network`` and ``read_only_root`` have no effect, ``pids_limit`` only as root.
"""

import contextlib
from collections.abc import Iterator, Mapping

from apps.units.environment import base_environment
from apps.units.spec import (
    UnitFileNotFound,
    UnitFileRefused,
    UnitInvalid,
    UnitLimits,
    UnitNotFound,
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
        with _translated():
            work = str(self._units.expected_work_directory(spec.name))
            environment = {**self._base, ENV_WORKSPACE_DIR: work, **spec.environment}
            self._units.start(_unit_spec(spec, environment))

    def inspect(self, name: str) -> base.ContainerState | None:
        """Observe a unit."""
        with _translated():
            state = self._units.inspect(name)
        return None if state is None else _container_state(state)

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

    def remove(self, name: str) -> None:
        """Kill and delete a unit."""
        with _translated():
            self._units.remove(name)

    def list_owned(self) -> list[base.ContainerState]:
        """Observe every unit."""
        with _translated():
            return [_container_state(state) for state in self._units.list_owned()]


def _unit_spec(spec: base.ContainerSpec, environment: Mapping[str, str]) -> UnitSpec:
    return UnitSpec(
        name=spec.name,
        argv=spec.command,
        env=environment,
        timeout_seconds=spec.deadline_seconds,
        stop_grace_seconds=spec.stop_grace_seconds,
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
    except UnitInvalid as error:
        raise base.ContainerRefused(error.message, details=error.details) from error
    except (UnitsUnavailable, OSError) as error:
        raise base.RuntimeUnavailable(str(error)) from error
