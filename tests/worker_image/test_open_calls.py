"""Which calls an agent waits for, from the events of each agent and from its transcripts."""

import json
from pathlib import Path
from typing import Any

import pytest

from worker_image import open_calls
from worker_image.open_calls import OpenCalls, Transcripts

pytestmark = pytest.mark.unit


def _message(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"type": "assistant", "message": {"role": "assistant", "content": list(blocks)}}


def _item(kind: str, item_type: str = "command_execution") -> dict[str, Any]:
    return {"type": kind, "item": {"id": "item_1", "type": item_type}}


def _response(kind: str) -> dict[str, Any]:
    return {"type": "response_item", "payload": {"type": kind, "call_id": "call_1"}}


USE = _message({"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}})
RESULT = _message({"type": "tool_result", "tool_use_id": "toolu_1", "content": "ok"})
TEXT = _message({"type": "text", "text": "I begin."})


@pytest.mark.parametrize(
    ("events", "is_open"),
    [
        ([], None),
        ([{"type": "system"}, {"no": "type"}], None),
        ([TEXT], False),
        ([{"type": "user", "message": {"role": "user", "content": "Do it"}}], False),
        ([USE], True),
        ([USE, RESULT], False),
        ([RESULT, USE], True),
        ([{"type": "turn.started"}], False),
        ([{"type": "turn.started"}, _item("item.started")], True),
        ([_item("item.started"), _item("item.completed"), {"type": "turn.completed"}], False),
        ([{"type": "turn.started"}, _item("item.started", "reasoning")], False),
        ([_response("function_call")], True),
        ([_response("function_call"), _response("function_call_output")], False),
        ([{"type": "turn.started"}, _item("item.started"), _response("function_call_output")], False),
    ],
)
def test_call_is_open_until_it_is_answered(events: list[dict[str, Any]], is_open: bool | None) -> None:
    calls = OpenCalls()

    for event in events:
        calls.see(event)

    assert calls.is_open is is_open


def test_nothing_is_known_after_an_event_was_missed() -> None:
    calls = OpenCalls()
    calls.see(USE)

    calls.lose()

    assert calls.is_open is None


def test_only_what_is_added_to_transcripts_is_read(tmp_path: Path) -> None:
    path = tmp_path / ".claude" / "projects" / "-work" / "session.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(USE) + "\n")
    transcripts = Transcripts(tmp_path)

    with path.open("a") as file:
        file.write(json.dumps(TEXT) + "\n" + '{"half')
    added = transcripts.new_lines()

    assert added == ([json.dumps(TEXT)], False)
    assert transcripts.new_lines() == ([], False)


@pytest.mark.parametrize(
    "name",
    [
        ".claude/projects/-w/s.jsonl",
        ".codex/sessions/2026/11/22/rollout-1.jsonl",
        ".factory/sessions/-w/s.jsonl",
    ],
)
def test_transcript_of_each_agent_is_found(tmp_path: Path, name: str) -> None:
    transcripts = Transcripts(tmp_path)
    path = tmp_path / name
    path.parent.mkdir(parents=True)

    path.write_text("{}\n")

    assert transcripts.new_lines() == (["{}"], False)


@pytest.mark.parametrize("content", ["", "x" * (open_calls.MAX_READ_BYTES + 20)])
def test_transcript_that_shrank_or_grew_too_much_is_said_to_be_lost(tmp_path: Path, content: str) -> None:
    path = tmp_path / ".claude" / "projects" / "-w" / "s.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("{}\n")
    transcripts = Transcripts(tmp_path)

    path.write_text(content)

    assert transcripts.new_lines() == ([], True)
