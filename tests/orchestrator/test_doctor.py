"""What the doctor says of this machine."""

from pathlib import Path

import pytest

from orchestrator import doctor

pytestmark = pytest.mark.unit


def test_what_the_stack_chose_is_not_called_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "runtime.env").write_text(
        "WORKERS_RUNTIME=process\nWORKERS_RUNTIME_REASON=no daemon answers\n"
    )
    monkeypatch.setenv("VAR_DIR", str(tmp_path))
    monkeypatch.delenv("WORKERS_RUNTIME", raising=False)

    (found,) = doctor._workers({"WORKERS_RUNTIME": "process"})

    assert found.line().startswith("note workers: plain processes, without isolation, as the stack decided")
    assert "no daemon answers" in found.line()


def test_what_somebody_chose_is_called_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VAR_DIR", str(tmp_path))
    monkeypatch.setenv("WORKERS_RUNTIME", "process")

    (found,) = doctor._workers({"WORKERS_RUNTIME": "process"})

    assert found.line() == "ok   workers: plain processes (WORKERS_RUNTIME=process)"


def test_without_an_entrance_projects_are_said_to_be_out_of_reach(tmp_path: Path):
    found = doctor._entrance({}, tmp_path)

    assert found.line().startswith("note entrance: does not run, so projects on this machine cannot be")
    assert found.repair == "start it with `make up`"


def test_where_nothing_is_deployed_no_entrance_is_missed(tmp_path: Path):
    found = doctor._entrance({"INFRA_LOCAL_TARGET": "false"}, tmp_path)

    assert found.is_ok
