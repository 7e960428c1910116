"""Runners: command lines, envelopes, usage and progress of each agent."""

import json
from pathlib import Path

import pytest

from worker_image.contract import ENV_MODELS, AgentType, Usage
from worker_image.runners import RUNNERS, RunnerSpec
from worker_image.runners.base import PlainRunner, ProgressUpdate
from worker_image.runners.claude import ClaudeRunner
from worker_image.runners.codex import CodexRunner
from worker_image.runners.factory import FactoryRunner
from worker_image.runners.rehearsal import RehearsalRunner

pytestmark = pytest.mark.unit
SESSION = "0b4f3c1e-0000-4000-8000-000000000001"


class TestClaudeRunner:
    def test_build_command_includes_headless_flags(self) -> None:
        runner = ClaudeRunner(session_id="sess-123")

        command = runner.build_command(prompt="Create hello.py")

        assert command[:2] == ["claude", "-p"]
        assert command[command.index("--output-format") + 1] == "json"
        assert command[command.index("--resume") + 1] == "sess-123"
        assert "--dangerously-skip-permissions" in command

    def test_build_command_without_session_omits_resume(self) -> None:
        runner = ClaudeRunner(session_id=None)

        command = runner.build_command(prompt="Hello")

        assert "--resume" not in command
        assert "--session-id" not in command

    def test_new_session_is_begun_not_resumed(self) -> None:
        command = ClaudeRunner(new_session_id=SESSION).build_command(prompt="Hello")

        assert command[command.index("--session-id") + 1] == SESSION
        assert "--resume" not in command

    def test_envelope_is_unwrapped_with_its_usage(self) -> None:
        usage = {"input_tokens": 10, "output_tokens": 4, "service_tier": "standard"}
        words = {"type": "result", "is_error": False, "result": "<result>{}</result>", "usage": usage}

        answer = ClaudeRunner().unwrap(
            "warning: noise\n" + json.dumps({**words, "total_cost_usd": 0.25}) + "\n"
        )

        assert answer.text == "<result>{}</result>"
        assert answer.usage == Usage(input_tokens=10, output_tokens=4, cost_usd=0.25)
        assert not answer.is_error

    def test_envelope_with_is_error_is_an_error(self) -> None:
        words = {"subtype": "success", "is_error": True, "result": "API Error: 429"}

        answer = ClaudeRunner().unwrap(json.dumps(words))

        assert answer.is_error
        assert answer.error == "API Error: 429"

    @pytest.mark.parametrize(
        "stdout", ["", "plain words", "[1, 2]", "{broken", '{"other": 1}', "[" * 100_000]
    )
    def test_text_without_envelope_is_the_answer(self, stdout: str) -> None:
        answer = ClaudeRunner().unwrap(stdout)

        assert answer.text == stdout
        assert answer.usage is None

    @pytest.mark.parametrize("tokens", [-1, True, "many", float("nan")])
    def test_nonsense_usage_is_unknown(self, tokens: object) -> None:
        words = {"result": "x", "usage": {"input_tokens": tokens}}

        answer = ClaudeRunner().unwrap(json.dumps(words))

        assert answer.usage is None


class TestFactoryRunner:
    def test_build_command_uses_droid_exec(self) -> None:
        command = FactoryRunner().build_command(prompt="Fix bug")

        assert command[:2] == ["droid", "exec"]
        assert command[command.index("-o") + 1] == "json"

    def test_prompt_that_looks_like_an_option_is_not_one(self) -> None:
        command = FactoryRunner().build_command(prompt="--help")

        assert command[-1] == "\n--help"


class TestCodexRunner:
    LINES = (
        {"type": "thread.started", "thread_id": "t"},
        {"type": "item.started", "item": {"type": "command_execution", "command": "make check"}},
        {"type": "item.completed", "item": {"type": "agent_message", "text": "first"}},
        {"type": "item.completed", "item": {"type": "agent_message", "text": "last"}},
        {
            "type": "turn.completed",
            "usage": {"input_tokens": 7, "cached_input_tokens": 2, "output_tokens": 3},
        },
    )

    def test_build_command_asks_for_json_lines(self) -> None:
        command = CodexRunner().build_command(prompt="Fix bug")

        assert command[:3] == ["codex", "exec", "--json"]
        assert "--skip-git-repo-check" in command

    def test_last_message_is_the_answer(self) -> None:
        stdout = "\n".join(json.dumps(line) for line in self.LINES)

        answer = CodexRunner().unwrap(stdout)

        assert answer.text == "last"
        assert answer.usage == Usage(input_tokens=7, output_tokens=3, cost_usd=None)
        assert not answer.is_error

    def test_failed_turn_is_an_error(self) -> None:
        stdout = json.dumps({"type": "turn.failed", "error": {"message": "no quota"}})

        answer = CodexRunner().unwrap(stdout)

        assert answer.is_error
        assert answer.error == "no quota"

    def test_item_is_progress(self) -> None:
        update = CodexRunner().parse_progress(json.dumps(self.LINES[1]))

        assert update == ProgressUpdate(message="make check", step="command")

    @pytest.mark.parametrize("line", ["", "{", "[]", '{"item": 3}', '{"type": "turn.started"}'])
    def test_other_lines_are_no_progress(self, line: str) -> None:
        assert CodexRunner().parse_progress(line) is None


class TestRehearsalRunner:
    @pytest.mark.parametrize(("worker_type", "talks"), [("po", True), ("developer", False), (None, False)])
    def test_product_owner_talks_instead_of_writing_code(self, worker_type: str | None, talks: bool) -> None:
        variables = {"WORKER_TYPE": worker_type} if worker_type else {}
        spec = RunnerSpec(prompt_file=Path("/tmp/p.txt"), home=Path("/tmp"), variables=variables)

        command = RUNNERS[AgentType.REHEARSAL](spec).build_command("words")

        assert ("--product-owner" in command) is talks

    def test_prompt_is_given_by_file(self) -> None:
        command = RehearsalRunner(Path("/tmp/prompt.txt")).build_command(prompt="secret words")

        assert command[1:] == ["-m", "worker_image.rehearsal", "--prompt-file", "/tmp/prompt.txt"]

    def test_progress_lines_are_not_part_of_the_answer(self) -> None:
        line = json.dumps({"type": "progress", "message": "Writing", "step": "models", "pct": 140})

        runner = RehearsalRunner(Path("/tmp/prompt.txt"))

        assert runner.unwrap(f"{line}\nDone\n").text == "Done"
        assert runner.parse_progress(line) == ProgressUpdate(message="Writing", step="models", pct=100)


class TestTable:
    def test_every_agent_has_a_runner(self, tmp_path: Path) -> None:
        spec = RunnerSpec(prompt_file=tmp_path / "prompt", home=tmp_path)

        commands = {agent: RUNNERS[agent](spec).build_command("Do it")[0] for agent in AgentType}

        assert {"claude", "droid", "codex"} <= set(commands.values())

    @pytest.mark.parametrize("agent", [AgentType.FACTORY, AgentType.CODEX])
    def test_model_is_given_before_the_prompt(self, tmp_path: Path, agent: AgentType) -> None:
        spec = RunnerSpec(prompt_file=tmp_path / "prompt", home=tmp_path, model="best-1")

        command = RUNNERS[agent](spec).build_command("Do it")

        assert command[-3:] == ["-m", "best-1", "Do it"]

    def test_claude_reads_its_model_from_its_environment(self) -> None:
        assert ENV_MODELS[AgentType.CLAUDE] in ClaudeRunner.environment

    def test_claude_session_is_resumed_only_once_its_transcript_exists(self, tmp_path: Path) -> None:
        spec = RunnerSpec(prompt_file=tmp_path / "prompt", home=tmp_path, session_id=SESSION)
        before = RUNNERS[AgentType.CLAUDE](spec).build_command("Hello")
        transcripts = tmp_path / ".claude" / "projects" / "-workspace"
        transcripts.mkdir(parents=True)
        (transcripts / f"{SESSION}.jsonl").write_text("{}\n")

        after = RUNNERS[AgentType.CLAUDE](spec).build_command("Hello")

        assert "--session-id" in before
        assert "--resume" in after

    def test_claude_session_of_no_words_is_begun_anew(self, tmp_path: Path) -> None:
        spec = RunnerSpec(prompt_file=tmp_path / "prompt", home=tmp_path, session_id=SESSION)
        transcripts = tmp_path / ".claude" / "projects" / "-workspace"
        transcripts.mkdir(parents=True)
        (transcripts / f"{SESSION}.jsonl").touch()

        command = RUNNERS[AgentType.CLAUDE](spec).build_command("Hello")

        assert "--session-id" in command
        assert not (transcripts / f"{SESSION}.jsonl").exists()

    def test_plain_command_takes_its_prompt_where_it_asks_for_it(self) -> None:
        assert PlainRunner(["echo", "{prompt}"]).build_command("hi") == ["echo", "hi"]
