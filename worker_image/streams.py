"""Redis streams for synchronous callers: append, read as a group, acknowledge, claim.

API (every function takes a `redis.Redis` first; stream and group names come from `worker_image.contract`):

    consumer_name()        a name no other process has: host, pid, nonce
    add                    append one message
    ensure_group           create a group at the start of a stream, or keep the one that is there
    read_new               block for entries nobody of the group has seen
    read_pending           entries given to this consumer before, not acknowledged yet
    claim_stale            take over entries another consumer left behind; scans to the end
    claim_stale_of_all     the same for many streams, in few round trips
    acknowledge            acknowledge, and delete, entries
    acknowledge_all        the same for entries of many streams, in one round trip
    is_drained             has the group read and acknowledged everything?
    delete_stream          remove a stream with its groups

A client for `read_new` needs a socket timeout above `block_ms`. No function trims a stream by length.
"""

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import uuid4

from redis import Redis
from redis.exceptions import ResponseError

from worker_image.wire import DATA_FIELD

SCAN_COUNT = 100
"""Entries asked for per page of a claim; the server looks at about ten times as many."""
STREAMS_PER_ROUND = 50
"""Streams whose first page of a claim is asked for at once: a bound on what one answer holds."""


class GroupMissing(Exception):
    """A stream of the read, or its group, does not exist (any more)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a stream, as the server gave it."""

    stream: str
    id: str
    data: bytes | None
    """The message, or None if its author trimmed the entry or wrote no `data` field."""


def consumer_name() -> str:
    """Return a consumer name that no other process has, also across restarts and containers."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"


def add(client: Redis, stream: str, data: str | bytes) -> str:
    """Append one message and return its entry id."""
    return _text(client.xadd(stream, {DATA_FIELD: data}))


def ensure_group(client: Redis, *, stream: str, group: str) -> None:
    """Create the group at the start of the stream (and the stream), or keep what is there.

    At the start, never at the end: an entry that came before the group must not be lost.
    """
    try:
        client.xgroup_create(stream, group, id="0", mkstream=True)
    except ResponseError as error:
        if not is_group_exists(error):
            raise


def read_new(
    client: Redis, *, group: str, consumer: str, streams: Sequence[str], count: int, block_ms: int
) -> list[Entry]:
    """Wait up to `block_ms` for entries that no consumer of the group has seen.

    Raises:
        GroupMissing: one of the streams or its group is gone, and the whole read failed with it.

    """
    return _read(client, group, consumer, dict.fromkeys(streams, ">"), count, block_ms)


def read_pending(
    client: Redis, *, group: str, consumer: str, streams: Sequence[str], count: int, after: str = "0"
) -> list[Entry]:
    """Return what this consumer was given and has not acknowledged, in order, after an entry id.

    Raises:
        GroupMissing: one of the streams or its group is gone.

    """
    return _read(client, group, consumer, dict.fromkeys(streams, after), count, None)


def claim_stale(
    client: Redis, *, stream: str, group: str, consumer: str, min_idle_ms: int
) -> Iterator[Entry]:
    """Take over entries that lay unacknowledged for `min_idle_ms`, page by page to the end of the list.

    A page may be empty although more follows: only the cursor tells the end. The caller leaves out entries
    it is handling itself; `min_idle_ms` must exceed the longest handling, or a healthy owner is robbed.

    Raises:
        GroupMissing: the stream or its group is gone.

    """
    yield from _claim_from("0-0", client, stream, group, consumer, min_idle_ms)


def claim_stale_of_all(
    client: Redis, *, streams: Sequence[str], group: str, consumer: str, min_idle_ms: int
) -> Iterator[Entry]:
    """Like `claim_stale` for each of many streams; those with nothing to claim share their round trips.

    Raises:
        GroupMissing: a stream or its group is gone; what was claimed of the others has been given out before.

    """
    for start in range(0, len(streams), STREAMS_PER_ROUND):
        several = streams[start : start + STREAMS_PER_ROUND]
        with client.pipeline(transaction=False) as pipe:
            for stream in several:
                pipe.xautoclaim(stream, group, consumer, min_idle_ms, start_id="0-0", count=SCAN_COUNT)
            replies = pipe.execute(raise_on_error=False)
        faults = [reply for reply in replies if isinstance(reply, Exception)]
        for stream, page in zip(several, replies, strict=True):
            if not isinstance(page, Exception):
                yield from entries_of(stream, page[1])
                if (following := _text(page[0])) != "0-0":
                    yield from _claim_from(following, client, stream, group, consumer, min_idle_ms)
        if faults:
            raise _translated(faults[0])


def acknowledge(client: Redis, *, stream: str, group: str, ids: Sequence[str]) -> None:
    """Acknowledge entries and delete them from the stream, in one round trip."""
    if not ids:
        return
    with client.pipeline(transaction=True) as pipe:
        pipe.xack(stream, group, *ids)
        pipe.xdel(stream, *ids)
        pipe.execute()


def acknowledge_all(client: Redis, *, group: str, ids: Mapping[str, Sequence[str]]) -> None:
    """Acknowledge and delete entries of many streams (stream → entry ids), in one round trip."""
    if not ids:
        return
    with client.pipeline(transaction=True) as pipe:
        for stream, several in ids.items():
            pipe.xack(stream, group, *several)
            pipe.xdel(stream, *several)
        pipe.execute()


def is_drained(client: Redis, *, stream: str, group: str) -> bool:
    """Tell whether the group has read the stream to its last id and acknowledged all of it.

    A missing stream is drained; a missing group on a stream that has entries is not.
    """
    if not client.exists(stream):
        return True
    last = _field(cast(Mapping[Any, Any], client.xinfo_stream(stream)), "last-generated-id")
    for row in cast(Sequence[Mapping[Any, Any]], client.xinfo_groups(stream)):
        if _text(_field(row, "name")) == group:
            read = _text(_field(row, "last-delivered-id"))
            return read == _text(last) and int(_field(row, "pending")) == 0
    return client.xlen(stream) == 0


def delete_stream(client: Redis, *, stream: str) -> None:
    """Remove a stream and its groups; absent is fine."""
    client.delete(stream)


def is_group_missing(error: Exception) -> bool:
    """Tell whether the server answered that a stream or group does not exist."""
    return str(error).startswith("NOGROUP")


def is_group_exists(error: Exception) -> bool:
    """Tell whether the server answered that a group is there already."""
    return str(error).startswith("BUSYGROUP")


def entries_of(stream: str, rows: Sequence[Any] | None) -> list[Entry]:
    """Turn the rows of one stream of a reply into entries; trimmed ones keep their id."""
    return [Entry(stream=stream, id=_text(row[0]), data=_data(row[1])) for row in rows or ()]


def flatten(reply: Any) -> list[Entry]:
    """Turn a reply of XREADGROUP into entries."""
    pairs = reply.items() if isinstance(reply, Mapping) else reply or ()
    return [entry for stream, rows in pairs for entry in entries_of(_text(stream), _rows(rows))]


def _claim_from(
    cursor: str, client: Redis, stream: str, group: str, consumer: str, min_idle_ms: int
) -> Iterator[Entry]:
    while True:
        try:
            reply = client.xautoclaim(stream, group, consumer, min_idle_ms, start_id=cursor, count=SCAN_COUNT)
        except ResponseError as error:
            raise _translated(error) from error
        page = cast(Sequence[Any], reply)
        yield from entries_of(stream, page[1])
        following = _text(page[0])
        if following in {"0-0", cursor}:
            return
        cursor = following


def _read(
    client: Redis, group: str, consumer: str, positions: dict[str, str], count: int, block_ms: int | None
) -> list[Entry]:
    if not positions:
        return []
    try:
        reply = client.xreadgroup(group, consumer, cast(Any, positions), count=count, block=block_ms)
    except ResponseError as error:
        raise _translated(error) from error
    return flatten(reply)


def _rows(rows: Any) -> Sequence[Any]:
    """Unwrap the one more list that some protocol versions put around the rows of a stream."""
    if len(rows) == 1 and rows[0] and isinstance(rows[0][0], list | tuple):
        return cast(Sequence[Any], rows[0])
    return cast(Sequence[Any], rows)


def _data(fields: Any) -> bytes | None:
    if not fields:
        return None
    value = fields.get(DATA_FIELD.encode(), fields.get(DATA_FIELD))
    return value.encode() if isinstance(value, str) else cast("bytes | None", value)


def _translated(error: Exception) -> Exception:
    return GroupMissing(str(error)) if is_group_missing(error) else error


def _field(row: Mapping[Any, Any], name: str) -> Any:
    return row[name] if name in row else row[name.encode()]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
