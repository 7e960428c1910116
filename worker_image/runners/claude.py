"""Claude Code, headless."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from worker_image.runners.base import (
    MAX_PROGRESS_LINE_BYTES,
    AgentAnswer,
    ProgressUpdate,
    json_lines,
    parse_object,
    positional,
    read_progress,
    read_result_envelope,
)

STEPS: Mapping[str, str] = {
    "Bash": "command",
    "Edit": "edit",
    "MultiEdit": "edit",
    "NotebookEdit": "edit",
    "Write": "edit",
    "WebSearch": "search",
    "WebFetch": "search",
    "TodoWrite": "plan",
}
_TELLING = ("command", "file_path", "notebook_path", "pattern", "query", "url", "description")
"""Which argument of a tool says best what it is called for, first come first told."""


class ClaudeRunner:
    """Runs `claude -p`; resumes a known conversation or begins one under a given id.

    `--dangerously-skip-permissions` is refused by the agent as root: a worker never runs as root, its
    isolation is the runtime's business.

    Args:
        session_id: a conversation that exists.
        new_session_id: the id of a conversation to begin.
        is_streaming: print every event as it happens, the envelope last; otherwise the envelope alone, so
            that nothing is heard of the agent until its end.

    """

    environment = frozenset(
        {
            "ANTHROPIC_API_KEY",
            "ANTHROPIC_AUTH_TOKEN",
            "ANTHROPIC_BASE_URL",
            "ANTHROPIC_MODEL",
            "CLAUDE_CODE_OAUTH_TOKEN",
            "CLAUDE_CONFIG_DIR",
        }
    )

    def __init__(
        self, session_id: str | None = None, *, new_session_id: str | None = None, is_streaming: bool = False
    ) -> None:
        self._session_id = session_id
        self._new_session_id = new_session_id
        self._format = ["stream-json", "--verbose"] if is_streaming else ["json"]

    def build_command(self, prompt: str) -> list[str]:
        """Return the command line of one turn; `--resume` only for a session that exists."""
        command = ["claude", "-p", positional(prompt), "--output-format", *self._format]
        command.append("--dangerously-skip-permissions")
        if self._session_id:
            return [*command, "--resume", self._session_id]
        if self._new_session_id:
            return [*command, "--session-id", self._new_session_id]
        return command

    def unwrap(self, stdout: str) -> AgentAnswer:
        """Take the answer out of the JSON envelope; `is_error` counts whatever the exit code.

        An agent that was cut off printed none: then its last words are the answer.
        """
        answer = read_result_envelope(stdout)
        if answer.text != stdout:
            return answer
        said = [text for event in json_lines(stdout) for text in _texts(event)]
        return AgentAnswer(text=said[-1]) if said else answer

    def parse_progress(self, line: str) -> ProgressUpdate | None:
        """Read what the agent says, which tool it calls, and that its provider makes it wait."""
        if len(line) > MAX_PROGRESS_LINE_BYTES:
            return None
        event = parse_object(line)
        if event is None:
            return None
        if event.get("subtype") == "api_retry":
            return ProgressUpdate(message=_waiting(event), step="waiting")
        for block in _blocks(event):
            if block.get("type") == "tool_use":
                return ProgressUpdate(message=_call(block), step=STEPS.get(str(block.get("name")), "tool"))
        texts = list(_texts(event))
        return ProgressUpdate(message=texts[-1]) if texts else read_progress(line)

    def extra_environment(self) -> Mapping[str, str]:
        """Return settings that keep the agent from talking to anything but its provider."""
        return {"DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1", "DISABLE_ERROR_REPORTING": "1"}


def has_session(home: Path, session_id: str) -> bool:
    """Tell whether the agent has begun this conversation in this home: its own transcript says so.

    A conversation that was begun may not be begun again, and one that was not cannot be resumed; a turn that
    failed leaves either case behind. A transcript of no words is neither: it is in the way of both, so it is
    removed.
    """
    transcripts = list((home / ".claude" / "projects").glob(f"*/{session_id}.jsonl"))
    for path in transcripts:
        if path.stat().st_size == 0:
            path.unlink()
    return any(path.exists() for path in transcripts)


def _blocks(event: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield what one of the agent's own messages consists of."""
    message = event.get("message") if event.get("type") == "assistant" else None
    content = message.get("content") if isinstance(message, dict) else None
    yield from (block for block in content or () if isinstance(block, dict))


def _texts(event: Mapping[str, Any]) -> Iterator[str]:
    for block in _blocks(event):
        text = block.get("text")
        if block.get("type") == "text" and isinstance(text, str) and text.strip():
            yield text


def _call(block: Mapping[str, Any]) -> str:
    given = block.get("input")
    told = (given.get(name) for name in _TELLING) if isinstance(given, dict) else ()
    words = next((value for value in told if isinstance(value, str) and value), None)
    return words or str(block.get("name") or "")


def _waiting(event: Mapping[str, Any]) -> str:
    reason = event.get("error_status") or event.get("error") or "no answer"
    return f"the model's provider: {reason}, attempt {event.get('attempt')}"
