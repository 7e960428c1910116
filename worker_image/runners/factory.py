"""Factory Droid, headless."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker_image.runners.base import (
    MAX_PROGRESS_LINE_BYTES,
    AgentAnswer,
    ProgressUpdate,
    json_lines,
    latest_transcript,
    parse_object,
    positional,
    provider_trouble,
    read_progress,
    read_result_envelope,
    read_usage,
)

STEPS: Mapping[str, str] = {
    "Execute": "command",
    "Edit": "edit",
    "Create": "edit",
    "ApplyPatch": "edit",
    "WebSearch": "search",
    "FetchUrl": "search",
    "TodoWrite": "plan",
}
GATEWAY_MODEL = "default"
_TELLING = ("command", "file_path", "path", "pattern", "query", "url", "summary")
"""Which argument of a tool says best what it is called for, first come first told."""
_STATUS = re.compile(r"(\d{3}) ")


class FactoryRunner:
    """Runs `droid exec`; goes on with a known conversation, else begins one, whose id it chooses itself.

    It goes on with a fork, which has all that was said: `--session-id` asks the vendor for the conversation,
    even where its transcript lies in the home.

    Args:
        model: one of its own models, or the gateway's.
        session_id: a conversation that exists.
        settings: a file that `gateway_settings` describes, for a gateway of the operator's.
        is_streaming: print every event as it happens; otherwise one envelope at the end, which hides why the
            provider refused.

    """

    environment = frozenset(
        {"FACTORY_API_KEY", "FACTORY_BASE_URL", "FACTORY_MODEL", "OPENAI_API_KEY", "OPENAI_BASE_URL"}
    )

    def __init__(
        self,
        model: str | None = None,
        *,
        session_id: str | None = None,
        settings: Path | None = None,
        is_streaming: bool = False,
    ) -> None:
        self._model = model
        self._session = ["--fork", session_id] if session_id else []
        self._settings = settings
        self._format = "stream-json" if is_streaming else "json"

    def build_command(self, prompt: str) -> list[str]:
        """Return the command line of one turn; the container is the sandbox."""
        command = ["droid", "exec", "--skip-permissions-unsafe", "-o", self._format, *self._session]
        if self._settings is not None:
            model = f"custom:{self._model or GATEWAY_MODEL}"
            return [*command, "--settings", str(self._settings), "-m", model, positional(prompt)]
        return [*command, *(["-m", self._model] if self._model else []), positional(prompt)]

    def unwrap(self, stdout: str) -> AgentAnswer:
        """Take the answer out of the last event, or out of the one envelope."""
        events = list(json_lines(stdout))
        done = next((event for event in reversed(events) if event.get("type") == "completion"), None)
        if done is not None:
            return AgentAnswer(text=str(done.get("finalText") or ""), usage=read_usage(done.get("usage")))
        errors = [event for event in events if event.get("type") == "error"]
        if errors:
            return _failed(errors[0])
        said = [text for event in events if (text := _text(event)) is not None]
        return AgentAnswer(text=said[-1]) if said else read_result_envelope(stdout)

    def parse_progress(self, line: str) -> ProgressUpdate | None:
        """Read what the agent says and which tool it calls."""
        if len(line) > MAX_PROGRESS_LINE_BYTES:
            return None
        event = parse_object(line)
        if event is not None and event.get("type") == "tool_call":
            return ProgressUpdate(message=_call(event), step=STEPS.get(str(event.get("toolName")), "tool"))
        text = _text(event) if event is not None else None
        return ProgressUpdate(message=text) if text else read_progress(line)

    def extra_environment(self) -> Mapping[str, str]:
        """Return what keeps it from its vendor where a gateway is asked: it lingers six seconds for it."""
        return {} if self._settings is None else {"FACTORY_AIRGAP_ENABLED": "true"}


def latest_session(home: Path) -> str | None:
    """Return the conversation that was last led in this home, by the agent's own transcripts."""
    return latest_transcript((home / ".factory" / "sessions").glob("**/*.jsonl"))


def gateway_settings(url: str, model: str | None) -> str:
    """Return the settings under which the agent asks a gateway that speaks Anthropic's protocol.

    Args:
        url: of the gateway.
        model: its name there; the key stays in the environment.

    """
    name = model or GATEWAY_MODEL
    custom = {
        "model": name,
        "displayName": name,
        "baseUrl": url,
        "apiKey": "${FACTORY_API_KEY}",
        "provider": "anthropic",
        "maxOutputTokens": 16_384,
    }
    return json.dumps({"customModels": [custom]})


def _failed(event: Mapping[str, Any]) -> AgentAnswer:
    words = str(event.get("message") or "the agent reported an error")
    status = _STATUS.match(words)
    code = provider_trouble(int(status[1])) if status else None
    return AgentAnswer(text="", is_error=True, error=words, error_code=code)


def _text(event: Mapping[str, Any]) -> str | None:
    if event.get("type") != "message" or event.get("role") != "assistant":
        return None
    text = event.get("text")
    return text if isinstance(text, str) and text.strip() else None


def _call(event: Mapping[str, Any]) -> str:
    given = event.get("parameters")
    told = (given.get(name) for name in _TELLING) if isinstance(given, dict) else ()
    words = next((value for value in told if isinstance(value, str) and value), None)
    return words or str(event.get("toolName") or "")
