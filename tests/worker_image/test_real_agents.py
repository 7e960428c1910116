"""The real Claude Code, Codex and Factory Droid under the real wrapper; their model is scripted."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from tests import real_clis
from tests.model_server import (
    ModelServer,
    Recall,
    Refuse,
    Run,
    Say,
    Scenario,
    Stall,
    Truncate,
    model_server,
)
from tests.worker_image.doubles import ControlPlane, ValkeyServer, git
from tests.worker_image.real_worker import RealWorker
from worker_image.contract import AgentType, ErrorCode, ResultStatus, WorkerType

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

WRITE = Run("echo 'def f(): return 1' > f.py && git add --all")
#: A call of its own: Factory Droid searches what is committed for secrets and refuses what it cannot read.
COMMIT = Run("git commit --quiet -m 'Add f'")
DONE = Say('All done.\n<result>{"status": "success", "summary": "f is there."}</result>')
SCENARIOS = (
    Scenario("add a function", (WRITE, COMMIT, DONE)),
    Scenario("show your environment", (Run("env > seen.txt && git add --all"), COMMIT, DONE)),
    Scenario("say it without a result", (Say("All done."),)),
    Scenario("refuse 401", (Refuse(401),)),
    Scenario("refuse 429", (Refuse(429),)),
    Scenario("refuse 500", (Refuse(500),)),
    Scenario("refuse 529", (Refuse(529),)),
    Scenario("stall", (Stall(),)),
    Scenario("break off", (Truncate(),)),
    Scenario("my number is 41", (Say("I keep it in mind."),)),
    Scenario("what did I say", (Recall(),)),
)
REAL = (AgentType.CLAUDE, AgentType.CODEX, AgentType.FACTORY)


@pytest.fixture(scope="module")
def programs() -> Path:
    return real_clis.require()


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with model_server(*SCENARIOS) as server:
        yield server


@pytest.fixture
def worker(
    scratch: Path, programs: Path, model: ModelServer, valkey: ValkeyServer, plane: ControlPlane
) -> Iterator[RealWorker]:
    scratch.chmod(0o711)
    worker = RealWorker(place=scratch, programs=programs, model=model, valkey=valkey, plane=plane)
    yield worker
    worker.end()


@pytest.mark.parametrize("agent", REAL)
def test_turn_with_a_commit_succeeds(worker: RealWorker, agent: AgentType) -> None:
    worker.agent = agent
    worker.start()

    result = worker.ask("Please add a function")

    assert (result.status, result.error) == (ResultStatus.SUCCESS, None), worker.log()
    (upload,) = [item for item in worker.plane.uploads if item.reason == "result"]
    assert (result.summary, result.branch) == ("f is there.", "task/1")
    assert result.commit_sha == upload.head_sha
    assert (result.usage.input_tokens, result.usage.output_tokens) == (300, 150)
    assert any("git commit" in words for words in worker.progress())


@pytest.mark.parametrize("agent", REAL)
def test_agents_shell_sees_the_cli_and_no_channel(worker: RealWorker, agent: AgentType) -> None:
    worker.agent = agent
    worker.start()

    result = worker.ask("show your environment")

    assert result.status is ResultStatus.SUCCESS, result.error
    bundle = worker.plane.uploads[-1].path
    origin = worker.place / "origin"
    git(origin, "fetch", "--quiet", str(bundle), "refs/heads/task/1")
    seen = git(origin, "show", "FETCH_HEAD:seen.txt")
    assert f"WORKER_TOKEN={worker.plane.token}" in seen
    assert "API_URL=" in seen
    assert "REDIS_URL=" not in seen
    assert worker.valkey.worker_password not in seen


@pytest.mark.parametrize(
    ("agent", "prompt", "code"),
    [
        (AgentType.CLAUDE, "refuse 401", ErrorCode.PROVIDER_REFUSED),
        (AgentType.CLAUDE, "refuse 429", ErrorCode.PROVIDER_LIMITED),
        (AgentType.CLAUDE, "refuse 500", ErrorCode.PROVIDER_UNAVAILABLE),
        (AgentType.CLAUDE, "refuse 529", ErrorCode.PROVIDER_UNAVAILABLE),
        (AgentType.CLAUDE, "break off", ErrorCode.PROVIDER_UNAVAILABLE),
        (AgentType.CLAUDE, "say it without a result", ErrorCode.RESULT_MISSING),
        (AgentType.CODEX, "refuse 401", ErrorCode.PROVIDER_REFUSED),
        (AgentType.CODEX, "refuse 429", ErrorCode.PROVIDER_LIMITED),
        (AgentType.CODEX, "break off", ErrorCode.PROVIDER_UNAVAILABLE),
        (AgentType.FACTORY, "refuse 401", ErrorCode.PROVIDER_REFUSED),
        # It takes a stream that broke off for a whole answer; then the result is missing from it.
        (AgentType.FACTORY, "break off", ErrorCode.RESULT_MISSING),
    ],
)
def test_trouble_has_its_own_code(worker: RealWorker, agent: AgentType, prompt: str, code: ErrorCode) -> None:
    worker.agent = agent
    worker.start()

    result = worker.ask(prompt)

    assert (result.status, result.error_code) == (ResultStatus.ERROR, code), (result.error, worker.log())


@pytest.mark.parametrize("agent", REAL)
def test_silent_provider_ends_with_the_turns_time_and_leaves_nothing(
    worker: RealWorker, agent: AgentType
) -> None:
    worker.agent = agent
    worker.start()

    result = worker.ask("stall", timeout=8)

    program = {"factory": "droid"}.get(str(agent), str(agent))
    left = [
        process.pid
        for process in psutil.process_iter(["name", "cwd"])
        if program in (process.info["name"] or "") and str(worker.place) in (process.info["cwd"] or "")
    ]
    assert (result.status, result.error_code) == (ResultStatus.TIMEOUT, ErrorCode.TIMEOUT)
    assert left == []


def test_wrong_key_is_refused_and_never_told(worker: RealWorker) -> None:
    worker.key = "sk-not-the-one"
    worker.start()

    result = worker.ask("Please add a function")

    assert result.error_code == ErrorCode.PROVIDER_REFUSED
    assert "sk-not-the-one" not in result.model_dump_json() + worker.log()


@pytest.mark.parametrize("agent", REAL)
def test_product_owner_remembers_its_first_turn_in_the_second(worker: RealWorker, agent: AgentType) -> None:
    worker.agent = agent
    worker.worker_type, worker.session_id = WorkerType.PO, str(uuid4())
    worker.start()
    first = worker.ask("my number is 41")

    second = worker.ask("what did I say")

    assert (first.status, first.text) == (ResultStatus.SUCCESS, "I keep it in mind.")
    assert second.status is ResultStatus.SUCCESS
    assert "my number is 41" in second.text


def test_product_owner_whose_session_nobody_knows_begins_it(worker: RealWorker) -> None:
    worker.worker_type, worker.session_id = WorkerType.PO, str(uuid4())
    worker.start()

    answer = worker.ask("what did I say")

    assert (answer.status, answer.error) == (ResultStatus.SUCCESS, None)
    assert "my number is" not in answer.text
