"""The contract: version 1 is frozen in a file, readers are tolerant, writers are not, Django is absent."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic.json_schema import models_json_schema

from worker_image import contract

pytestmark = pytest.mark.unit

FROZEN = Path(__file__).parent / "contract_v1.json"
MODELS = (
    contract.DeveloperWorkerInput,
    contract.DeveloperWorkerOutput,
    contract.POWorkerInput,
    contract.POWorkerOutput,
    contract.WorkerLifecycleEvent,
    contract.ProgressEvent,
    contract.Heartbeat,
    contract.AgentVerdict,
    contract.WorkerConfig,
    contract.OutputEnvelope,
)


def _turn(**changes: object) -> contract.DeveloperWorkerInput:
    fields = {"request_id": "turn-1", "task_id": "task-1", "project_id": "project-1", "prompt": "Do it"}
    return contract.DeveloperWorkerInput.model_validate({**fields, **changes})


def _schema() -> object:
    _, schema = models_json_schema([(model, "validation") for model in MODELS], title="Worker contract 1")
    return json.loads(json.dumps(schema, sort_keys=True))


def test_schema_of_version_1_has_not_changed() -> None:
    frozen = json.loads(FROZEN.read_text())

    current = _schema()

    assert current == frozen, "a changed contract needs a new version, not a new contract_v1.json"


def test_contract_is_imported_with_django_blocked() -> None:
    code = "import sys; sys.modules['django'] = None; import worker_image.contract"

    done = subprocess.run([sys.executable, "-c", code], cwd=FROZEN.parents[2], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_reader_ignores_unknown_fields_and_logs_their_names(caplog: pytest.LogCaptureFixture) -> None:
    words = json.dumps({**_turn().model_dump(mode="json"), "priority": "secret-value"})

    read = contract.DeveloperWorkerInput.read(words)

    assert read.request_id == "turn-1"
    assert "priority" in caplog.text
    assert "secret-value" not in caplog.text


def test_writer_refuses_an_unknown_field() -> None:
    with pytest.raises(ValidationError, match="priority"):
        _turn(priority=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "2"},
        {"timeout": 0},
        {"timeout": "soon"},
        {"prompt": ""},
        {"prompt": "x" * (contract.MAX_PROMPT_CHARS + 1)},
        {"prompt": "a\x00b"},
        {"request_id": "a b"},
        {"branch": "-rf"},
        {"base_sha": "abc"},
        {"timestamp": "2026-01-01T00:00:00"},
    ],
)
def test_reader_refuses_malformed_fields(changes: dict[str, object]) -> None:
    words = json.dumps({**_turn().model_dump(mode="json"), **changes})

    with pytest.raises(ValidationError):
        contract.DeveloperWorkerInput.read(words)


@pytest.mark.parametrize("words", ["", "null", "[]", "{", "\xff", '{"request_id": "a"}'])
def test_reader_refuses_what_is_not_the_message(words: str) -> None:
    with pytest.raises(ValidationError):
        contract.DeveloperWorkerInput.read(words)


def test_input_that_names_only_its_turn_gets_the_defaults() -> None:
    words = '{"request_id": "r", "task_id": "t", "project_id": "p", "prompt": "x"}'

    turn = contract.DeveloperWorkerInput.read(words)

    assert turn.timeout == contract.DEFAULT_TURN_TIMEOUT_SECONDS
    assert (turn.branch, turn.base_sha) == (None, None)


def test_messages_are_frozen() -> None:
    turn = _turn()

    with pytest.raises(ValidationError):
        turn.prompt = "other"


def test_timestamps_become_utc() -> None:
    local = datetime(2026, 1, 1, 3, tzinfo=timezone(timedelta(hours=3)))

    turn = _turn(timestamp=local)

    assert turn.timestamp == local
    assert turn.timestamp.tzinfo is UTC


@pytest.mark.parametrize(
    "body",
    [
        contract.WorkerLifecycleEvent(worker_id="w", event=contract.LifecycleEvent.STARTED),
        contract.ProgressEvent(request_id="r", type=contract.ProgressType.PROGRESS, progress_pct=40),
        contract.Heartbeat(phase=contract.Phase.RUNNING, output_bytes=3, children=1),
        contract.DeveloperWorkerOutput(
            request_id="r", task_id="t", status=contract.ResultStatus.SUCCESS, duration_ms=5
        ),
        contract.POWorkerOutput(
            request_id="r", chat_id=-7, text="Hello", status=contract.ResultStatus.SUCCESS
        ),
    ],
)
def test_envelope_gives_back_the_body_it_was_given(body: contract.OutputBody) -> None:
    sent = contract.envelope(boot="boot-1", seq=1, body=body).model_dump_json()

    read = contract.OutputEnvelope.read(sent)

    assert read.read_body() == body


def test_envelope_of_another_version_is_refused() -> None:
    words = json.dumps({"v": 2, "boot": "b", "seq": 1, "kind": "heartbeat", "body": {}})

    with pytest.raises(ValidationError):
        contract.OutputEnvelope.read(words)


def test_result_body_that_fits_neither_model_is_refused() -> None:
    envelope = contract.OutputEnvelope(
        boot="b", seq=1, kind=contract.OutputKind.RESULT, body={"status": "ok"}
    )

    with pytest.raises(ValidationError):
        envelope.read_body()


def test_unknown_keys_of_a_verdict_go_into_data() -> None:
    words = {"status": "success", "summary": "Done", "commit_sha": "abc", "data": {"files": 2}}

    verdict = contract.AgentVerdict.model_validate(words)

    assert verdict.data == {"files": 2, "commit_sha": "abc"}


def test_unknown_cost_is_null_not_zero() -> None:
    usage = contract.Usage(input_tokens=3)

    assert usage.model_dump(mode="json") == {"input_tokens": 3, "output_tokens": None, "cost_usd": None}


def test_worker_config_may_not_set_names_the_control_plane_owns() -> None:
    with pytest.raises(ValidationError, match="REDIS_URL"):
        contract.WorkerConfig(
            name="po-1",
            worker_type=contract.WorkerType.PO,
            agent_type=contract.AgentType.CLAUDE,
            env_vars={"REDIS_URL": "redis://elsewhere"},
        )


def test_worker_config_hides_the_key() -> None:
    config = contract.WorkerConfig.model_validate(
        {"name": "po-1", "worker_type": "po", "agent_type": "claude", "api_key": "sk-hidden"}
    )

    assert "sk-hidden" not in repr(config) + config.model_dump_json()
