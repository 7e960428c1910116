"""Codex, headless: JSON lines, one event each."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker_image.contract import ErrorCode
from worker_image.runners.base import (
    MAX_PROGRESS_LINE_BYTES,
    AgentAnswer,
    ProgressUpdate,
    json_lines,
    latest_transcript,
    parse_object,
    positional,
    provider_trouble,
    read_usage,
)

STEPS: Mapping[str, str] = {
    "command_execution": "command",
    "file_change": "edit",
    "mcp_tool_call": "tool",
    "web_search": "search",
    "reasoning": "thinking",
    "todo_list": "plan",
}


OPENAI_URL = "https://api.openai.com/v1"
_STATUS = re.compile(r"(?:unexpected|last) status:? (\d{3})")
_SESSION = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_BROKEN = re.compile(r"stream disconnected|error sending request|timed? ?out|idle timeout", re.IGNORECASE)


class CodexRunner:
    """Runs `codex exec --json`. It waits for ever on an open stdin: the wrapper gives it /dev/null.

    Args:
        model: one of its provider's; none means its own default.
        session_id: a conversation that exists; else one is begun, whose id it chooses itself.
        provider_url: where the Responses protocol is spoken with the key in `OPENAI_API_KEY`. The built-in
            provider takes neither that variable nor `OPENAI_BASE_URL`; none leaves it to a lent session.

    """

    environment = frozenset({"OPENAI_API_KEY", "OPENAI_BASE_URL", "CODEX_API_KEY", "CODEX_HOME"})

    def __init__(
        self, model: str | None = None, *, session_id: str | None = None, provider_url: str | None = None
    ) -> None:
        self._model = model
        self._session = ["resume", session_id] if session_id else []
        self._provider = [] if provider_url is None else _provider(provider_url)

    def build_command(self, prompt: str) -> list[str]:
        """Return the command line of one turn.

        Codex's own sandbox cannot start inside a container without capabilities, and it refuses a
        directory that is not a repository, which a Product Owner's is: hence the two flags.
        """
        flags = ["--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
        model = ["-m", self._model] if self._model else []
        return ["codex", "exec", *flags, *self._provider, *model, *self._session, positional(prompt)]

    def unwrap(self, stdout: str) -> AgentAnswer:
        """Take the last message of the agent, the sum of what its turns used, and any failure."""
        events = list(json_lines(stdout))
        if not events:
            return AgentAnswer(text=stdout)
        texts = [text for event in events if (text := _message(event)) is not None]
        failures = [text for event in events if (text := _failure(event)) is not None]
        usages = [event.get("usage") for event in events if event.get("type") == "turn.completed"]
        text = texts[-1] if texts else ""
        if failures and not usages:
            return AgentAnswer(text=text, is_error=True, error=failures[-1], error_code=_code(failures[-1]))
        return AgentAnswer(text=text, usage=read_usage(usages[-1]) if usages else None)

    def parse_progress(self, line: str) -> ProgressUpdate | None:
        """Read the begin or end of one item of the agent's work."""
        if len(line) > MAX_PROGRESS_LINE_BYTES:
            return None
        event = parse_object(line)
        item = event.get("item") if event else None
        if event is not None and event.get("type") == "error":
            return ProgressUpdate(message=_failure(event), step="waiting")
        if event is None or not isinstance(item, dict):
            return None
        words = item.get("text") or item.get("command") or item.get("query")
        return ProgressUpdate(
            message=words if isinstance(words, str) else None,
            step=STEPS.get(_kind(item), "working"),
        )

    def extra_environment(self) -> Mapping[str, str]:
        """Return nothing."""
        return {}


def latest_session(home: Path) -> str | None:
    """Return the conversation that was last led in this home, by the agent's own transcripts."""
    name = latest_transcript((home / ".codex" / "sessions").glob("**/rollout-*.jsonl"))
    found = None if name is None else _SESSION.search(name)
    return found[0] if found else None


def _provider(url: str) -> list[str]:
    settings = {"name": "operator", "base_url": url, "env_key": "OPENAI_API_KEY", "wire_api": "responses"}
    table = ", ".join(f"{name} = {json.dumps(value)}" for name, value in settings.items())
    return ["-c", f"model_providers.operator={{{table}}}", "-c", 'model_provider="operator"']


def _code(words: str) -> ErrorCode | None:
    if status := _STATUS.search(words):
        return provider_trouble(int(status[1]))
    return ErrorCode.PROVIDER_UNAVAILABLE if _BROKEN.search(words) else None


def _kind(item: Mapping[str, Any]) -> str:
    return str(item.get("type") or item.get("item_type") or "")


def _message(event: Mapping[str, Any]) -> str | None:
    item = event.get("item")
    if event.get("type") != "item.completed" or not isinstance(item, dict):
        return None
    text = item.get("text")
    return text if _kind(item) in {"agent_message", "assistant_message"} and isinstance(text, str) else None


def _failure(event: Mapping[str, Any]) -> str | None:
    if event.get("type") not in {"error", "turn.failed"}:
        return None
    error = event.get("error")
    words = error.get("message") if isinstance(error, dict) else event.get("message")
    return words if isinstance(words, str) and words else "the agent reported an error"
