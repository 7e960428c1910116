"""One message through the wrapper with a mock agent: input stream, agent process, output stream."""

import asyncio
import json
import sys
import time
from pathlib import Path

import pytest
from fakeredis import FakeAsyncRedis

from worker_image.contract import (
    DATA_FIELD,
    DeveloperWorkerInput,
    DeveloperWorkerOutput,
    OutputEnvelope,
    OutputKind,
    POWorkerInput,
    POWorkerOutput,
    input_stream,
    output_stream,
)
from worker_image.wrapper import WorkerWrapper

pytestmark = pytest.mark.service
WORKER = "worker-test"


def _agent(tmp_path: Path, code: str) -> str:
    script = tmp_path / "mock_agent.py"
    script.write_text(code)
    return f"{sys.executable} {script}"


def _turn(request_id: str = "req-1", **changes: object) -> DeveloperWorkerInput:
    fields = {
        "request_id": request_id,
        "task_id": "task-1",
        "project_id": "proj-1",
        "prompt": "Create hello.py",
    }
    return DeveloperWorkerInput.model_validate({**fields, **changes})


async def _push(redis: FakeAsyncRedis, data: str) -> None:
    await redis.xadd(input_stream(WORKER), {DATA_FIELD: data})


async def _outputs(redis: FakeAsyncRedis) -> list[OutputEnvelope]:
    entries = await redis.xrange(output_stream(WORKER), "-", "+")
    return [OutputEnvelope.read(fields[DATA_FIELD.encode()]) for _, fields in entries]


async def _results(redis: FakeAsyncRedis) -> list[DeveloperWorkerOutput]:
    bodies = [entry.read_body() for entry in await _outputs(redis) if entry.kind is OutputKind.RESULT]
    return [body for body in bodies if isinstance(body, DeveloperWorkerOutput)]


async def _run_one(tmp_path: Path, code: str, turn: DeveloperWorkerInput) -> DeveloperWorkerOutput:
    redis = FakeAsyncRedis()
    await _push(redis, turn.model_dump_json())
    wrapper = WorkerWrapper(
        redis=redis, worker_id=WORKER, worker_type="developer", agent_command=_agent(tmp_path, code)
    )
    await wrapper.process_one_message()
    (result,) = await _results(redis)
    return result


class TestWrapperFullCycle:
    async def test_full_message_cycle(self, tmp_path: Path) -> None:
        verdict = '{"status": "success", "summary": "Task completed"}'
        code = f"print('Processing')\nprint('<result>')\nprint({verdict!r})\nprint('</result>')"

        result = await _run_one(tmp_path, code, _turn())

        assert result.status == "success"
        assert (result.request_id, result.task_id) == ("req-1", "task-1")
        assert result.summary == "Task completed"
        assert result.exit_code == 0

    async def test_timeout_kills_agent(self, tmp_path: Path) -> None:
        began = time.monotonic()

        result = await _run_one(tmp_path, "import time; time.sleep(60)", _turn(timeout=1))

        assert result.status == "timeout"
        assert result.error_code == "timeout"
        assert time.monotonic() - began < 10

    async def test_agent_crash_returns_error(self, tmp_path: Path) -> None:
        code = "import sys; print('Error!', file=sys.stderr); sys.exit(1)"

        result = await _run_one(tmp_path, code, _turn())

        assert result.status == "error"
        assert result.error is not None
        assert "Error!" in result.error
        assert (result.error_code, result.exit_code) == ("agent_exit", 1)


@pytest.mark.parametrize(
    ("code", "status", "error_code"),
    [
        ("print('no tags at all')", "error", "result_missing"),
        ("print('<result>{broken</result>')", "error", "result_unreadable"),
        ("print('<result>{}</result>')", "error", "result_unreadable"),
        (
            'print(\'<result>{"status": "failure", "summary": "no"}</result>\')',
            "failed",
            "agent_reported_failure",
        ),
        ('print(\'<result>{"status": "in_progress"}</result>\')', "failed", "agent_reported_failure"),
        ("print('<result>{\"summary\": \"' + 'x' * 5_000_000 + '\"}</result>')", "error", "result_too_large"),
        ("import os; os.write(1, os.urandom(3_000_000))", "error", "result_missing"),
        ("import os; os.write(1, b'\\x00\\xff<result>')", "error", "result_unreadable"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "error", "agent_exit"),
    ],
)
async def test_bad_ends_have_their_own_code(tmp_path: Path, code: str, status: str, error_code: str) -> None:
    result = await _run_one(tmp_path, code, _turn())

    assert (result.status, result.error_code) == (status, error_code)
    assert result.error


async def test_missing_agent_is_told_apart_from_a_crash(tmp_path: Path) -> None:
    redis = FakeAsyncRedis()
    await _push(redis, _turn().model_dump_json())
    wrapper = WorkerWrapper(redis, WORKER, "developer", "/nowhere/agent")

    await wrapper.process_one_message()

    (result,) = await _results(redis)
    assert result.error_code == "agent_missing"


async def test_repeated_input_gets_the_same_answer_without_a_second_run(tmp_path: Path) -> None:
    redis = FakeAsyncRedis()
    marks = tmp_path / "marks"
    code = f"open({str(marks)!r}, 'a').write('x'); print('<result>{{\"status\": \"success\"}}</result>')"
    wrapper = WorkerWrapper(redis, WORKER, "developer", _agent(tmp_path, code))
    for _ in range(2):
        await _push(redis, _turn().model_dump_json())
        await wrapper.process_one_message()

    results = await _results(redis)

    assert results[0] == results[1]
    assert marks.read_text() == "x"


async def test_progress_lines_become_events_in_order(tmp_path: Path) -> None:
    redis = FakeAsyncRedis()
    lines = [{"type": "progress", "message": f"step {number}", "pct": number * 10} for number in range(3)]
    code = f"import json\nfor line in {lines!r}: print(json.dumps(line), flush=True)"
    await _push(redis, _turn().model_dump_json())
    await WorkerWrapper(redis, WORKER, "developer", _agent(tmp_path, code)).process_one_message()

    told = [entry.body for entry in await _outputs(redis) if entry.kind is OutputKind.PROGRESS]
    outputs = await _outputs(redis)

    assert [body["type"] for body in told] == ["started", "progress", "progress", "progress", "failed"]
    assert [body["progress_pct"] for body in told][1:4] == [0, 10, 20]
    assert [entry.seq for entry in outputs] == list(range(1, len(outputs) + 1))


@pytest.mark.parametrize(
    "data", ["", "{", "[]", "null", '{"prompt": "no ids"}', "\udc80".encode(errors="replace").decode()]
)
async def test_input_without_a_name_is_put_aside_and_the_next_one_runs(tmp_path: Path, data: str) -> None:
    redis = FakeAsyncRedis()
    code = 'print(\'<result>{"status": "success"}</result>\')'
    wrapper = WorkerWrapper(redis, WORKER, "developer", _agent(tmp_path, code))
    await _push(redis, data)
    await _push(redis, _turn().model_dump_json())

    await wrapper.process_one_message()
    await wrapper.process_one_message()

    (result,) = await _results(redis)
    assert result.status == "success"


async def test_malformed_input_that_names_its_turn_gets_a_typed_answer(tmp_path: Path) -> None:
    redis = FakeAsyncRedis()
    await _push(redis, json.dumps({**_turn().model_dump(mode="json"), "timeout": "soon"}))

    await WorkerWrapper(redis, WORKER, "developer", "true").process_one_message()

    (result,) = await _results(redis)
    assert (result.request_id, result.error_code) == ("req-1", "input_unreadable")


async def test_product_owner_answers_in_its_own_words(tmp_path: Path) -> None:
    redis = FakeAsyncRedis()
    await _push(redis, POWorkerInput(request_id="r", chat_id=-5, prompt="Hello").model_dump_json())

    await WorkerWrapper(redis, WORKER, "po", _agent(tmp_path, "print('Hello to you')")).process_one_message()

    bodies = [entry.read_body() for entry in await _outputs(redis) if entry.kind is OutputKind.RESULT]
    (answer,) = [body for body in bodies if isinstance(body, POWorkerOutput)]
    assert (answer.chat_id, answer.text, answer.status) == (-5, "Hello to you", "success")


async def test_prompt_longer_than_an_argument_reaches_the_agent(tmp_path: Path) -> None:
    prompt = "я" * 150_000
    code = (
        "import os\ntext = open(os.environ['PROMPT_FILE']).read()\n"
        'print(\'<result>{"status": "success", "summary": "%d"}</result>\' % len(text))'
    )

    result = await _run_one(tmp_path, code, _turn(prompt=prompt))

    assert result.summary == "150000"


async def test_agent_gets_no_redis_url_and_an_empty_stdin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://hidden")
    monkeypatch.setenv("PYTHONPATH", "/wrapper/only")
    monkeypatch.setenv("WORKER_TOKEN", "for-the-cli")
    code = (
        "import json, os, sys\n"
        "names = [n for n in ('REDIS_URL', 'PYTHONPATH', 'WORKER_TOKEN') if n in os.environ]\n"
        "words = json.dumps({'status': 'success', 'summary': ' '.join(names) + sys.stdin.read()})\n"
        "print('<result>' + words + '</result>')"
    )

    result = await _run_one(tmp_path, code, _turn())

    assert result.summary == "WORKER_TOKEN"


async def test_background_processes_of_the_agent_end_with_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(pid_file)!r}, 'w').write(str(child.pid))\n"
        'print(\'<result>{"status": "success"}</result>\')'
    )

    result = await _run_one(tmp_path, code, _turn())

    assert result.status == "success"
    assert not await _is_alive(int(pid_file.read_text()))


async def _is_alive(pid: int) -> bool:
    for _ in range(40):
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return False
        await asyncio.sleep(0.05)
    return True
