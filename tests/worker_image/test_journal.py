"""The journal: what a restarted wrapper knows of its turns."""

from pathlib import Path

import pytest

from worker_image.contract import DeveloperWorkerOutput, POWorkerOutput, ResultStatus
from worker_image.journal import KEPT_RESULTS, Journal

pytestmark = pytest.mark.unit


def _result(request_id: str) -> DeveloperWorkerOutput:
    return DeveloperWorkerOutput(
        request_id=request_id, task_id="t", status=ResultStatus.SUCCESS, duration_ms=1
    )


def test_begun_turn_was_running_for_the_next_wrapper(tmp_path: Path) -> None:
    Journal(tmp_path).begin("turn-1")

    journal = Journal(tmp_path)

    assert journal.was_running("turn-1")
    assert not journal.was_running("turn-2")
    assert journal.find_result("turn-1") is None


def test_results_are_remembered_across_a_restart_as_they_were(tmp_path: Path) -> None:
    answer = POWorkerOutput(request_id="turn-2", chat_id=5, text="Hello", status=ResultStatus.SUCCESS)
    first = Journal(tmp_path)
    first.finish(_result("turn-1"))
    first.finish(answer)

    journal = Journal(tmp_path)

    assert journal.find_result("turn-2") == answer
    assert journal.find_result("turn-1") is not None
    assert not journal.was_running("turn-1")


def test_only_the_last_results_are_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for number in range(KEPT_RESULTS + 1):
        journal.finish(_result(f"turn-{number}"))

    assert journal.find_result("turn-0") is None
    assert journal.find_result("turn-1") is not None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"running": 5, "results": [1, {"request_id": "x"}]}'])
def test_unreadable_journal_is_an_empty_one(tmp_path: Path, content: str) -> None:
    (tmp_path / "turns.json").write_text(content)

    journal = Journal(tmp_path)

    assert journal.find_result("x") is None
    assert not journal.was_running("x")
