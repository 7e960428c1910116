"""The rehearsal agent under the wrapper: every way to misbehave has its own end."""

from typing import Any

import pytest

pytestmark = pytest.mark.integration
WISH = "An inventory of books with title and author.\n\n"


@pytest.mark.parametrize(
    ("mode", "status", "error_code"),
    [
        ("exit-1", "error", "agent_exit"),
        ("hang", "timeout", "timeout"),
        ("garbage", "error", "result_missing"),
        ("huge-result", "error", "result_too_large"),
        ("no-such-mode", "failed", "agent_reported_failure"),
    ],
)
def test_misbehavior_ends_typed(worker: Any, mode: str, status: str, error_code: str) -> None:
    worker.agent_type = "rehearsal"
    worker.push(prompt=f"{WISH}rehearsal: {mode}", timeout=3)
    worker.start()

    result = worker.wait_for_result(seconds=30)

    assert (result.status, result.error_code) == (status, error_code)
    assert result.error


def test_progress_of_the_rehearsal_reaches_the_stream(worker: Any) -> None:
    worker.agent_type = "rehearsal"
    worker.push(prompt="Nothing that could be understood")
    worker.start()

    worker.wait_for_result(seconds=30)

    steps = [item.body["current_step"] for item in worker.outputs() if item.kind == "progress"]
    assert "read" in steps
