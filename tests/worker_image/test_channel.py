"""The worker's end of the channel: order, bounds, patience."""

import asyncio

import pytest
from fakeredis import FakeAsyncRedis
from redis.exceptions import AuthenticationError, ConnectionError, ResponseError

from worker_image import channel as channels
from worker_image.channel import ChannelRefused, WorkerChannel
from worker_image.contract import (
    DATA_FIELD,
    DeveloperWorkerOutput,
    Heartbeat,
    OutputEnvelope,
    OutputKind,
    Phase,
    ProgressEvent,
    ProgressType,
    ResultStatus,
    input_stream,
    output_stream,
)
from worker_image.masking import secrets_of

pytestmark = pytest.mark.unit


class FlakyRedis(FakeAsyncRedis):
    """A server whose next appends fail with the given errors."""

    failures: list[Exception]

    async def xadd(self, *args: object, **kwargs: object) -> object:
        if self.failures:
            raise self.failures.pop(0)
        return await super().xadd(*args, **kwargs)


def _flaky(*failures: Exception) -> FlakyRedis:
    redis = FlakyRedis()
    redis.failures = list(failures)
    return redis


def _progress(number: int) -> ProgressEvent:
    return ProgressEvent(request_id="r", type=ProgressType.PROGRESS, message=str(number))


def _result() -> DeveloperWorkerOutput:
    return DeveloperWorkerOutput(request_id="r", task_id="t", status=ResultStatus.SUCCESS, duration_ms=1)


async def _outputs(redis: FakeAsyncRedis) -> list[OutputEnvelope]:
    entries = await redis.xrange(output_stream("w"), "-", "+")
    return [OutputEnvelope.read(fields[DATA_FIELD.encode()]) for _, fields in entries]


async def test_order_and_numbers_survive_lost_connections() -> None:
    redis = _flaky(ConnectionError("gone"), OSError("gone"), ResponseError("OOM command not allowed"))
    channel = WorkerChannel(redis, "w")
    for number in range(5):
        channel.post(_progress(number))

    await channel.flush()

    outputs = await _outputs(redis)
    assert [entry.seq for entry in outputs] == [1, 2, 3, 4, 5]
    assert [entry.body["message"] for entry in outputs] == ["0", "1", "2", "3", "4"]
    assert {entry.boot for entry in outputs} == {channel.boot}


async def test_two_senders_at_once_keep_the_order() -> None:
    redis = _flaky(ConnectionError("gone"))
    channel = WorkerChannel(redis, "w")

    await asyncio.gather(*(channel.send(_progress(number)) for number in range(10)))

    assert [entry.seq for entry in await _outputs(redis)] == list(range(1, 11))


async def test_refused_user_is_asked_again_until_it_exists() -> None:
    redis = _flaky(*[AuthenticationError("WRONGPASS")] * 3)
    channel = WorkerChannel(redis, "w")

    await channel.send(_result())

    assert len(await _outputs(redis)) == 1


async def test_refusal_past_the_deadline_ends_the_worker() -> None:
    redis = _flaky(*[AuthenticationError("WRONGPASS")] * 50)
    channel = WorkerChannel(redis, "w", refused_deadline_seconds=0.2)

    with pytest.raises(ChannelRefused):
        await channel.send(_result())


async def test_full_buffer_drops_hints_and_never_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "MAX_WAITING", 5)
    redis = _flaky()
    channel = WorkerChannel(redis, "w")
    channel.post(_result())
    for _ in range(20):
        channel.post(Heartbeat(phase=Phase.RUNNING))
    channel.post(_result())

    await channel.flush()

    outputs = await _outputs(redis)
    assert [entry.seq for entry in outputs] == [1, 19, 20, 21, 22]
    assert sum(entry.kind is OutputKind.RESULT for entry in outputs) == 2


async def test_oversize_result_becomes_a_typed_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "MAX_ENTRY_BYTES", 900)
    redis = _flaky()
    channel = WorkerChannel(redis, "w")

    await channel.send(_result().model_copy(update={"summary": "x" * 2_000}))

    (entry,) = await _outputs(redis)
    assert entry.body["error_code"] == "result_too_large"
    assert entry.body["status"] == "error"


async def test_group_is_created_where_the_user_may() -> None:
    redis = _flaky()
    await FakeAsyncRedis.xadd(redis, input_stream("w"), {DATA_FIELD: "one"})

    entry = await WorkerChannel(redis, "w").next_input()

    assert entry.data == b"one"


async def test_unacknowledged_input_comes_first_after_a_restart() -> None:
    redis = _flaky()
    await redis.xadd(input_stream("w"), {DATA_FIELD: "one"})
    first = await WorkerChannel(redis, "w").next_input()
    await redis.xadd(input_stream("w"), {DATA_FIELD: "two"})
    restarted = WorkerChannel(redis, "w")

    again = await restarted.next_input()
    await restarted.acknowledge(again)
    following = await restarted.next_input()

    assert again.id == first.id
    assert following.data == b"two"


async def test_pump_sends_without_anybody_waiting() -> None:
    redis = _flaky(ConnectionError("gone"))
    channel = WorkerChannel(redis, "w")
    pump = asyncio.create_task(channel.pump())
    channel.post(_progress(1))

    async with asyncio.timeout(5):
        while channel.waiting:
            await asyncio.sleep(0.01)
    pump.cancel()

    assert len(await _outputs(redis)) == 1


async def test_our_own_secrets_are_taken_out_of_what_is_said() -> None:
    redis = FakeAsyncRedis()
    variables = {
        "WORKER_TOKEN": "token-0123456789",
        "ANTHROPIC_API_KEY": 'key-"quoted"-0123',
        "REDIS_URL": "redis://worker:password-01234@127.0.0.1:1/0",
        "SHORT_TOKEN": "a",
        "PATH": "/usr/bin:/bin",
    }
    channel = WorkerChannel(redis, "w", secrets=secrets_of(variables))
    channel.post(ProgressEvent(request_id="r", type=ProgressType.PROGRESS, message="a token-0123456789"))
    channel.post(
        _result().model_copy(update={"summary": 'key-"quoted"-0123', "error": "password-01234 /usr/bin:/bin"})
    )

    await channel.flush()

    first, second = [entry.body for entry in await _outputs(redis)]
    assert first["message"] == "a ***"
    assert (second["summary"], second["error"]) == ("***", "*** /usr/bin:/bin")
