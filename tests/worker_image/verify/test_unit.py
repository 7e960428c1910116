"""The driver where it belongs: in a unit, under a uid of its own."""

import json
import os
import time

import pytest

from apps.units import toolchain
from apps.units.environment import base_environment
from apps.units.spec import UnitPhase, UnitSpec, UnitState
from apps.units.supervisor import Units
from tests.worker_image.verify.conftest import COMMANDS, PROTECTED, Rig
from worker_image.verify.report import MAX_REPORT_BYTES, REPORT_NAME
from worker_image.verify.schema import read_report
from worker_image.verify.spec import BUNDLE_NAME, SPEC_NAME

pytestmark = pytest.mark.integration


def run(rig: Rig, *, seconds: float, change: str) -> tuple[UnitState, bytes]:
    rig.place.chmod(0o711)
    rig.prepare({"tests/test_b.py": change})
    document = {"base_sha": rig.base_sha, "head_sha": rig.head_sha, "commands": COMMANDS}
    spec = rig.place / "input" / SPEC_NAME
    spec.write_text(json.dumps({**document, "protected": PROTECTED}))
    tools = toolchain.prepare(rig.place / "bin")
    units = Units(rig.place / "units")
    units.start(
        UnitSpec(
            name="proof",
            argv=(str(tools.python), "-m", "worker_image.verify", "--spec", SPEC_NAME),
            env={**base_environment(tools, outer={}), "PYTHONPATH": str(tools.sources)},
            timeout_seconds=seconds,
            stop_grace_seconds=10,
            inputs={SPEC_NAME: spec, BUNDLE_NAME: rig.place / "input" / BUNDLE_NAME},
        )
    )
    try:
        return _await(units), units.fetch("proof", REPORT_NAME, limit_bytes=MAX_REPORT_BYTES)
    finally:
        units.remove("proof")


def _await(units: Units) -> UnitState:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        state = units.inspect("proof")
        if state is not None and state.phase is UnitPhase.EXITED:
            return state
        time.sleep(0.02)
    raise AssertionError(units.logs("proof", tail_bytes=2_000))


def test_unit_proves_a_commit_under_its_own_uid(rig: Rig) -> None:
    change = "import os\nprint('uid', os.getuid())\ndef test_new(): assert False\n"

    state, content = run(rig, seconds=60, change=change)

    report = read_report(content)
    assert report is not None
    assert (state.exit_code, state.timed_out) == (0, False)
    log = report.phases["check"].log_tail
    assert "uid " in log
    assert os.geteuid() != 0 or "uid 0" not in log


def test_deadline_of_the_unit_leaves_a_report(rig: Rig) -> None:
    state, content = run(rig, seconds=4, change="import time\ntime.sleep(100)\n")

    report = read_report(content)
    assert report is not None
    assert (state.exit_code, state.timed_out) == (3, True)
    assert (report.problem, report.stopped_in) == ("stopped", "check")
