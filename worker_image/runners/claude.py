"""Claude Code, headless."""

from collections.abc import Mapping
from pathlib import Path

from worker_image.runners.base import (
    AgentAnswer,
    ProgressUpdate,
    positional,
    read_progress,
    read_result_envelope,
)


class ClaudeRunner:
    """Runs `claude -p`; resumes a known conversation or begins one under a given id.

    `--dangerously-skip-permissions` is refused by the agent as root: a worker never runs as root, its
    isolation is the runtime's business.
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

    def __init__(self, session_id: str | None = None, *, new_session_id: str | None = None) -> None:
        self._session_id = session_id
        self._new_session_id = new_session_id

    def build_command(self, prompt: str) -> list[str]:
        """Return the command line of one turn; `--resume` only for a session that exists."""
        command = ["claude", "-p", positional(prompt), "--output-format", "json"]
        command.append("--dangerously-skip-permissions")
        if self._session_id:
            return [*command, "--resume", self._session_id]
        if self._new_session_id:
            return [*command, "--session-id", self._new_session_id]
        return command

    def unwrap(self, stdout: str) -> AgentAnswer:
        """Take the answer out of the JSON envelope; `is_error` counts whatever the exit code."""
        return read_result_envelope(stdout)

    def parse_progress(self, line: str) -> ProgressUpdate | None:
        """Read a JSON line of type `progress`; this output format prints none itself."""
        return read_progress(line)

    def extra_environment(self) -> Mapping[str, str]:
        """Return settings that keep the agent from talking to anything but its provider."""
        return {"DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1", "DISABLE_ERROR_REPORTING": "1"}


def has_session(home: Path, session_id: str) -> bool:
    """Tell whether the agent has begun this conversation in this home: its own transcript says so.

    A conversation that was begun may not be begun again, and one that was not cannot be resumed; a turn that
    failed leaves either case behind.
    """
    return any((home / ".claude" / "projects").glob(f"*/{session_id}.jsonl"))
