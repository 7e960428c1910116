"""What Claude Code prints while it works, as it was seen from the real program (2.1.330)."""

import json
from typing import Any

import pytest

from worker_image.contract import ErrorCode
from worker_image.runners.base import ProgressUpdate
from worker_image.runners.claude import ClaudeRunner

pytestmark = pytest.mark.unit


def said(*content: dict[str, Any]) -> str:
    return json.dumps({"type": "assistant", "message": {"role": "assistant", "content": list(content)}})


INIT = json.dumps({"type": "system", "subtype": "init", "session_id": "s", "tools": ["Bash"]})
CALL = said({"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "make check"}})
ANSWERED = json.dumps({"type": "user", "message": {"content": [{"type": "tool_result", "content": "ok"}]}})
WORDS = said({"type": "text", "text": "All is done."})
RESULT = json.dumps({"type": "result", "is_error": False, "result": "<result>{}</result>"})
RETRY = json.dumps({"type": "system", "subtype": "api_retry", "attempt": 2, "error_status": 529})


def test_streaming_asks_for_every_event() -> None:
    command = ClaudeRunner(is_streaming=True).build_command("Do it")

    assert command[command.index("--output-format") :][:3] == ["--output-format", "stream-json", "--verbose"]


def test_answer_is_the_envelope_that_comes_last() -> None:
    answer = ClaudeRunner(is_streaming=True).unwrap("\n".join([INIT, CALL, ANSWERED, WORDS, RESULT]) + "\n")

    assert answer.text == "<result>{}</result>"


def test_agent_that_was_cut_off_answers_with_its_last_words() -> None:
    answer = ClaudeRunner(is_streaming=True).unwrap("\n".join([INIT, CALL, ANSWERED, WORDS, ""]))

    assert (answer.text, answer.is_error) == ("All is done.", False)


@pytest.mark.parametrize(
    ("line", "update"),
    [
        (CALL, ProgressUpdate(message="make check", step="command")),
        (WORDS, ProgressUpdate(message="All is done.")),
        (RETRY, ProgressUpdate(message="the model's provider: 529, attempt 2", step="waiting")),
        (
            said({"type": "tool_use", "name": "Write", "input": {"file_path": "/w/a.py", "content": "x"}}),
            ProgressUpdate(message="/w/a.py", step="edit"),
        ),
        (
            said({"type": "tool_use", "name": "Task", "input": "?"}),
            ProgressUpdate(message="Task", step="tool"),
        ),
    ],
)
def test_event_is_progress(line: str, update: ProgressUpdate) -> None:
    assert ClaudeRunner().parse_progress(line) == update


@pytest.mark.parametrize(
    "line", [INIT, ANSWERED, RESULT, said(), "", "{", "[]", '{"type": "assistant"}', WORDS + " " * 70_000]
)
def test_other_lines_are_no_progress(line: str) -> None:
    assert ClaudeRunner().parse_progress(line) is None


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, ErrorCode.PROVIDER_REFUSED),
        (404, ErrorCode.PROVIDER_REFUSED),
        (429, ErrorCode.PROVIDER_LIMITED),
        (500, ErrorCode.PROVIDER_UNAVAILABLE),
        (529, ErrorCode.PROVIDER_UNAVAILABLE),
        (None, ErrorCode.PROVIDER_UNAVAILABLE),
    ],
)
def test_providers_trouble_has_a_code_of_its_own(status: int | None, code: ErrorCode) -> None:
    envelope = {"is_error": True, "result": "API Error", "api_error_status": status}

    answer = ClaudeRunner().unwrap(json.dumps({**envelope, "terminal_reason": "api_error"}))

    assert (answer.is_error, answer.error_code) == (True, code)
