"""What Codex (0.169.0) and Factory Droid (0.225.2) print, as it was seen from the real programs."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from worker_image.contract import AgentType, ErrorCode, Usage
from worker_image.runners import RUNNERS, RunnerSpec
from worker_image.runners.base import AgentRunner, ProgressUpdate
from worker_image.runners.codex import CodexRunner
from worker_image.runners.factory import FactoryRunner

pytestmark = pytest.mark.unit

URL = "http://127.0.0.1:1/v1"
#: Events of Factory Droid.
INIT = {"type": "system", "subtype": "init", "session_id": "s"}
CALL = {"type": "tool_call", "toolName": "Execute", "parameters": {"command": "make check"}}
WORDS = {"type": "message", "role": "assistant", "text": "Done."}
PROMPT = {"type": "message", "role": "user", "text": "Do it"}
END = {"type": "completion", "finalText": "Done.", "usage": {"input_tokens": 7, "output_tokens": 3}}


def lines(*events: dict[str, Any]) -> str:
    return "".join(f"{json.dumps(event)}\n" for event in events)


def runner(agent: AgentType, directory: Path, *, model: str | None = None, **variables: str) -> AgentRunner:
    prompt_file = directory / "prompt.txt"
    spec = RunnerSpec(prompt_file=prompt_file, home=directory, model=model, variables=variables)
    return RUNNERS[agent](spec)


class TestCodex:
    def test_key_and_address_make_a_provider_of_the_operators(self, tmp_path: Path) -> None:
        codex = runner(AgentType.CODEX, tmp_path, OPENAI_API_KEY="secret", OPENAI_BASE_URL=URL)

        command = codex.build_command("Do it")

        assert 'model_provider="operator"' in command
        assert any(f'base_url = "{URL}"' in word and "OPENAI_API_KEY" in word for word in command)
        assert not any("secret" in word for word in command)

    def test_key_alone_asks_the_vendor(self, tmp_path: Path) -> None:
        command = runner(AgentType.CODEX, tmp_path, OPENAI_API_KEY="secret").build_command("Do it")

        assert any("https://api.openai.com/v1" in word for word in command)

    def test_lent_session_keeps_its_own_provider(self, tmp_path: Path) -> None:
        command = runner(AgentType.CODEX, tmp_path).build_command("Do it")

        assert not any("model_provider" in word for word in command)

    @pytest.mark.parametrize(
        ("words", "code"),
        [
            ("unexpected status 401 Unauthorized: incorrect API key, url: u", ErrorCode.PROVIDER_REFUSED),
            ("exceeded retry limit, last status: 429 Too Many Requests", ErrorCode.PROVIDER_LIMITED),
            ("unexpected status 529 <unknown status code>: overloaded", ErrorCode.PROVIDER_UNAVAILABLE),
            ("stream disconnected before completion: closed", ErrorCode.PROVIDER_UNAVAILABLE),
            ("the sandbox is on fire", None),
        ],
    )
    def test_failed_turn_says_whose_fault_it_was(self, words: str, code: ErrorCode | None) -> None:
        stdout = lines({"type": "thread.started"}, {"type": "turn.failed", "error": {"message": words}})

        answer = CodexRunner().unwrap(stdout)

        assert (answer.is_error, answer.error, answer.error_code) == (True, words, code)

    def test_reconnecting_is_told(self) -> None:
        line = lines({"type": "error", "message": "Reconnecting... 1/5"}).strip()

        assert CodexRunner().parse_progress(line) == ProgressUpdate(
            message="Reconnecting... 1/5", step="waiting"
        )


class TestFactory:
    def test_last_event_is_the_answer(self) -> None:
        answer = FactoryRunner().unwrap(lines(INIT, PROMPT, CALL, WORDS, END))

        assert (answer.text, answer.usage) == ("Done.", Usage(input_tokens=7, output_tokens=3))

    def test_agent_that_was_cut_off_answers_with_its_last_words(self) -> None:
        answer = FactoryRunner().unwrap(lines(INIT, PROMPT, WORDS))

        assert (answer.text, answer.is_error) == ("Done.", False)

    @pytest.mark.parametrize(
        ("words", "code"),
        [
            ('401 {"type":"error"}', ErrorCode.PROVIDER_REFUSED),
            ('429 {"type":"error"}', ErrorCode.PROVIDER_LIMITED),
            ('529 {"type":"error"}', ErrorCode.PROVIDER_UNAVAILABLE),
            ("Something else", None),
        ],
    )
    def test_error_says_whose_fault_it_was(self, words: str, code: ErrorCode | None) -> None:
        first = {"type": "error", "source": "agent_loop", "message": words}
        last = {"type": "error", "source": "cli", "message": "Exec failed"}

        answer = FactoryRunner().unwrap(lines(INIT, PROMPT, first, last))

        assert (answer.is_error, answer.error, answer.error_code) == (True, words, code)

    def test_call_and_words_are_progress(self) -> None:
        updates = [FactoryRunner().parse_progress(json.dumps(event)) for event in (CALL, WORDS)]

        assert updates == [
            ProgressUpdate(message="make check", step="command"),
            ProgressUpdate(message="Done."),
        ]

    @pytest.mark.parametrize("event", [INIT, PROMPT, END, {"type": "message", "role": "assistant"}])
    def test_other_events_are_no_progress(self, event: dict[str, Any]) -> None:
        assert FactoryRunner().parse_progress(json.dumps(event)) is None

    def test_gateway_is_told_by_a_file_without_the_key(self, tmp_path: Path) -> None:
        variables = {"FACTORY_API_KEY": "secret", "FACTORY_BASE_URL": "http://127.0.0.1:1"}
        droid = runner(AgentType.FACTORY, tmp_path, model="best-1", **variables)

        command = droid.build_command("Do it")

        settings = Path(command[command.index("--settings") + 1]).read_text()
        (custom,) = json.loads(settings)["customModels"]
        assert command[command.index("-m") + 1] == "custom:best-1"
        assert (custom["model"], custom["baseUrl"]) == ("best-1", "http://127.0.0.1:1")
        assert "secret" not in settings


class TestSessions:
    ID = "01a20513-da0a-7793-9111-b6a330a1648a"

    def test_droid_forks_the_latest_conversation_of_its_home(self, tmp_path: Path) -> None:
        sessions = tmp_path / ".factory" / "sessions" / "-workspace"
        sessions.mkdir(parents=True)
        for age, name in ((90, "older"), (10, "latest"), (0, "empty")):
            path = sessions / f"{name}.jsonl"
            path.write_text("" if name == "empty" else "{}\n")
            os.utime(path, (1_000_000 - age, 1_000_000 - age))

        command = self._command(AgentType.FACTORY, tmp_path)

        assert command[command.index("--fork") + 1] == "latest"

    def test_codex_resumes_the_latest_conversation_of_its_home(self, tmp_path: Path) -> None:
        sessions = tmp_path / ".codex" / "sessions" / "2026" / "11" / "22"
        sessions.mkdir(parents=True)
        (sessions / f"rollout-2026-11-22T20-07-48-{self.ID}.jsonl").write_text("{}\n")

        command = self._command(AgentType.CODEX, tmp_path)

        assert command[-3:] == ["resume", self.ID, "Do it"]

    @pytest.mark.parametrize("agent", [AgentType.CODEX, AgentType.FACTORY])
    def test_home_without_conversations_begins_one(self, tmp_path: Path, agent: AgentType) -> None:
        command = self._command(agent, tmp_path)

        assert not {"resume", "--fork"} & set(command)

    def test_turns_that_stand_alone_go_on_with_nothing(self, tmp_path: Path) -> None:
        sessions = tmp_path / ".factory" / "sessions" / "-workspace"
        sessions.mkdir(parents=True)
        (sessions / "latest.jsonl").write_text("{}\n")

        assert "--fork" not in runner(AgentType.FACTORY, tmp_path).build_command("Do it")

    def _command(self, agent: AgentType, home: Path) -> list[str]:
        spec = RunnerSpec(prompt_file=home / "prompt.txt", home=home, session_id=self.ID)
        return RUNNERS[agent](spec).build_command("Do it")
