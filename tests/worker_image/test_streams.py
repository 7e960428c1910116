"""Stream functions for synchronous callers, on an in-memory server (real ones: test_worker_process)."""

import pytest
from fakeredis import FakeRedis

from worker_image import streams

pytestmark = pytest.mark.unit
STREAM = "worker:1:output"
GROUP = "control-plane"


@pytest.fixture
def redis() -> FakeRedis:
    return FakeRedis()


def _read(redis: FakeRedis, consumer: str = "a", count: int = 10) -> list[streams.Entry]:
    return streams.read_new(redis, group=GROUP, consumer=consumer, streams=[STREAM], count=count, block_ms=10)


def test_group_sees_what_was_added_before_it_existed(redis: FakeRedis) -> None:
    streams.add(redis, STREAM, "first")
    streams.ensure_group(redis, stream=STREAM, group=GROUP)

    entries = _read(redis)

    assert [entry.data for entry in entries] == [b"first"]


def test_ensuring_a_group_again_keeps_its_position(redis: FakeRedis) -> None:
    streams.ensure_group(redis, stream=STREAM, group=GROUP)
    streams.add(redis, STREAM, "first")
    _read(redis)

    streams.ensure_group(redis, stream=STREAM, group=GROUP)

    assert _read(redis) == []


def test_missing_group_is_a_typed_error(redis: FakeRedis) -> None:
    streams.add(redis, STREAM, "first")

    with pytest.raises(streams.GroupMissing):
        _read(redis)


def test_reading_no_stream_reads_nothing(redis: FakeRedis) -> None:
    assert streams.read_new(redis, group=GROUP, consumer="a", streams=[], count=1, block_ms=1) == []


def test_pending_entries_come_back_to_their_consumer_only(redis: FakeRedis) -> None:
    streams.ensure_group(redis, stream=STREAM, group=GROUP)
    streams.add(redis, STREAM, "first")
    (entry,) = _read(redis, "a")

    mine = streams.read_pending(redis, group=GROUP, consumer="a", streams=[STREAM], count=10)
    others = streams.read_pending(redis, group=GROUP, consumer="b", streams=[STREAM], count=10)

    assert [item.id for item in mine] == [entry.id]
    assert others == []


def test_acknowledged_entries_are_gone(redis: FakeRedis) -> None:
    streams.ensure_group(redis, stream=STREAM, group=GROUP)
    streams.add(redis, STREAM, "first")
    ids = [entry.id for entry in _read(redis)]

    streams.acknowledge(redis, stream=STREAM, group=GROUP, ids=ids)

    assert redis.xlen(STREAM) == 0
    assert streams.read_pending(redis, group=GROUP, consumer="a", streams=[STREAM], count=10) == []


def test_entry_without_data_keeps_its_id(redis: FakeRedis) -> None:
    streams.ensure_group(redis, stream=STREAM, group=GROUP)
    redis.xadd(STREAM, {"other": "x"})

    (entry,) = _read(redis)

    assert entry.data is None
    assert entry.id


class PagedServer:
    """Answers XAUTOCLAIM as a server does whose pages may be empty before the end."""

    def __init__(self, pages: dict[str, tuple[str, list[tuple[bytes, dict[bytes, bytes]]]]]) -> None:
        self._pages = pages
        self.asked: list[str] = []

    def xautoclaim(self, *_: object, start_id: str, **__: object) -> tuple[bytes, list[object], list[object]]:
        self.asked.append(start_id)
        cursor, rows = self._pages[start_id]
        return cursor.encode(), list(rows), []


def test_claim_goes_on_after_an_empty_page() -> None:
    row = (b"7-0", {b"data": b"late"})
    server = PagedServer({"0-0": ("5-0", []), "5-0": ("0-0", [row])})

    claimed = list(streams.claim_stale(server, stream=STREAM, group=GROUP, consumer="b", min_idle_ms=1))

    assert [entry.data for entry in claimed] == [b"late"]


def test_claim_ends_when_the_cursor_stands_still() -> None:
    server = PagedServer({"0-0": ("5-0", []), "5-0": ("5-0", [])})

    list(streams.claim_stale(server, stream=STREAM, group=GROUP, consumer="b", min_idle_ms=1))

    assert server.asked == ["0-0", "5-0"]


def test_claim_takes_what_another_consumer_left(redis: FakeRedis) -> None:
    streams.ensure_group(redis, stream=STREAM, group=GROUP)
    for number in range(250):
        streams.add(redis, STREAM, str(number))
    _read(redis, "dead", count=250)

    claimed = list(streams.claim_stale(redis, stream=STREAM, group=GROUP, consumer="b", min_idle_ms=0))

    assert [entry.data for entry in claimed] == [str(number).encode() for number in range(250)]


def test_stream_is_drained_only_when_read_and_acknowledged(redis: FakeRedis) -> None:
    seen = [streams.is_drained(redis, stream=STREAM, group=GROUP)]
    streams.ensure_group(redis, stream=STREAM, group=GROUP)
    streams.add(redis, STREAM, "first")
    seen.append(streams.is_drained(redis, stream=STREAM, group=GROUP))
    entries = _read(redis)
    seen.append(streams.is_drained(redis, stream=STREAM, group=GROUP))
    streams.acknowledge(redis, stream=STREAM, group=GROUP, ids=[entry.id for entry in entries])
    seen.append(streams.is_drained(redis, stream=STREAM, group=GROUP))

    assert seen == [True, False, False, True]


def test_deleting_a_stream_twice_is_fine(redis: FakeRedis) -> None:
    streams.add(redis, STREAM, "first")

    streams.delete_stream(redis, stream=STREAM)
    streams.delete_stream(redis, stream=STREAM)

    assert not redis.exists(STREAM)


def test_consumer_names_differ_within_one_process() -> None:
    assert streams.consumer_name() != streams.consumer_name()


def _two_streams(redis: FakeRedis, *, entries: int) -> list[str]:
    names = [STREAM, "worker:2:output"]
    for name in names:
        streams.ensure_group(redis, stream=name, group=GROUP)
        for number in range(entries):
            streams.add(redis, name, str(number))
    return names


def test_entries_of_many_streams_are_claimed_to_the_end(redis: FakeRedis) -> None:
    names = _two_streams(redis, entries=2 * streams.SCAN_COUNT + 1)
    streams.read_new(redis, group=GROUP, consumer="dead", streams=names, count=1_000, block_ms=1)

    claimed = list(streams.claim_stale_of_all(redis, streams=names, group=GROUP, consumer="b", min_idle_ms=0))

    assert [entry.stream for entry in claimed] == [name for name in names for _ in range(len(claimed) // 2)]
    assert len({(entry.stream, entry.id) for entry in claimed}) == 2 * (2 * streams.SCAN_COUNT + 1)


def test_a_missing_group_is_told_after_what_was_claimed_of_the_others(redis: FakeRedis) -> None:
    names = _two_streams(redis, entries=1)
    streams.read_new(redis, group=GROUP, consumer="dead", streams=names, count=10, block_ms=1)
    left = streams.claim_stale_of_all(
        redis, streams=["gone", *names], group=GROUP, consumer="b", min_idle_ms=0
    )

    claimed = [next(left), next(left)]

    assert [entry.stream for entry in claimed] == names
    with pytest.raises(streams.GroupMissing):
        next(left)


def test_entries_of_many_streams_are_acknowledged_together(redis: FakeRedis) -> None:
    names = _two_streams(redis, entries=2)
    entries = streams.read_new(redis, group=GROUP, consumer="a", streams=names, count=10, block_ms=1)
    ids = {name: [entry.id for entry in entries if entry.stream == name] for name in names}

    streams.acknowledge_all(redis, group=GROUP, ids=ids)

    assert [redis.xlen(name) for name in names] == [0, 0]
    assert all(streams.is_drained(redis, stream=name, group=GROUP) for name in names)


def test_nothing_to_acknowledge_is_no_call(redis: FakeRedis) -> None:
    streams.acknowledge_all(redis, group=GROUP, ids={})

    assert redis.keys() == []
