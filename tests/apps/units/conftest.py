"""Units of a test's own, in a directory that unprivileged uids can pass, and none left afterwards."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.units import layout
from apps.units.spec import UnitPhase, UnitSpec, UnitState
from apps.units.supervisor import Units

PATH = "/usr/local/bin:/usr/bin:/bin"


@pytest.fixture
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="units-", dir="/tmp"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def units(place: Path) -> Iterator[Units]:
    result = Units(place / "units", cache=place / "cache")
    yield result
    for entry in os.scandir(result.directory):
        result.remove(entry.name)


@pytest.fixture
def make_spec() -> Callable[..., UnitSpec]:
    """Describe a shell command as a unit; every field can be said differently."""

    def make(name: str, script: str = "sleep 60", **changes: Any) -> UnitSpec:
        fields: dict[str, Any] = {
            "name": name,
            "argv": ("sh", "-c", script),
            "timeout_seconds": 60,
            "stop_grace_seconds": 5,
            **changes,
            "env": {"PATH": PATH, **changes.get("env", {})},
        }
        return UnitSpec(**fields)

    return make


@pytest.fixture
def wait_for() -> Callable[..., None]:
    def wait(condition: Callable[[], object], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.005)

    return wait


@pytest.fixture
def finished(units: Units, wait_for: Callable[..., None]) -> Callable[[str], UnitState]:
    """Wait for the end of a unit and return how it was observed."""

    def wait(name: str) -> UnitState:
        wait_for(lambda: (state := units.inspect(name)) is not None and state.phase is not UnitPhase.RUNNING)
        state = units.inspect(name)
        assert state is not None
        return state

    return wait


@pytest.fixture
def recorded(units: Units) -> Callable[[str], dict[str, Any]]:
    """Return what the shim wrote down about a unit's processes."""

    def read(name: str) -> dict[str, Any]:
        process: dict[str, Any] = json.loads((units.directory / name / layout.PROCESS).read_text())
        return process

    return read
