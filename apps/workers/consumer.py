"""Reads every active worker's output with one consumer group and stores what was said.

At least once: an entry is acknowledged only after the transaction that stored it. One thread reads, stores
and claims in turn, so no entry is ever handled twice at once in a process; between processes the unique
(worker, boot, seq) makes a second handling harmless. Nothing is lost while PostgreSQL or the channel is away:
what was read stays pending and is read again first.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final
from uuid import UUID

from django.db import InterfaceError, OperationalError, close_old_connections
from redis import Redis
from redis.exceptions import RedisError

from apps.workers import composition, consumer_apply, outcomes
from apps.workers.channel import Channel, ChannelUnavailable, answering
from apps.workers.consumer_apply import Facts
from apps.workers.consumer_flood import FloodGuard
from apps.workers.consumer_parse import Report, Unreadable, parse, payload_of
from apps.workers.models import ACTIVE, DeadLetter, Worker
from apps.workers.redaction import mask_entry
from worker_image import streams
from worker_image.contract import OUTPUT_GROUP, WAKEUP_STREAM, output_stream
from worker_image.streams import Entry

logger = logging.getLogger(__name__)

_OUTAGES: Final = (OperationalError, InterfaceError, RedisError, ChannelUnavailable)
_FULL_AT: Final = 0.9
_LONGEST_PAUSE_SECONDS: Final = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How a consumer reads.

    Attributes:
        block_ms: longest wait for entries; the client's socket timeout must exceed it.
        entries_per_stream: most entries of one worker in one read, so that nobody starves.
        batch: most entries of one transaction.
        refresh_seconds: between two looks at the list of workers.
        claim_seconds: between two scans for entries that a dead consumer left.
        claim_idle_ms: how long an entry must lie before it counts as left.

    """

    block_ms: int = 1_000
    entries_per_stream: int = 200
    batch: int = 500
    refresh_seconds: float = 1.0
    claim_seconds: float = 2.0
    claim_idle_ms: int = 5_000


class ResultConsumer:
    """One member of the consumer group.

    Args:
        channel: the result channel.
        client: a connection for blocking reads.
        tell: hears what was stored; must not block.
        flood_limit: entries per minute above which a worker is stopped.
        name: unique among all consumers, dead ones included.

    """

    def __init__(
        self,
        *,
        channel: Channel,
        client: Redis,
        tell: Callable[[Facts], None],
        flood_limit: int,
        pace: Pace | None = None,
        name: str | None = None,
        store: consumer_apply.Store = consumer_apply.store,
    ) -> None:
        self.name = name or streams.consumer_name()
        self.trimmed_count = 0
        self._channel = channel
        self._client = client
        self._tell = tell
        self._pace = pace or Pace()
        self._store = store
        self._flood_limit = flood_limit
        self._guard = FloodGuard(limit=flood_limit)
        self._workers: dict[str, UUID] = {}
        self._has_pending = True
        self._refresh_at = 0.0
        self._claim_at = 0.0

    def run(self, stop: threading.Event) -> None:
        """Consume until told to stop; outages are waited out."""
        pause = 0.0
        while not stop.is_set():
            try:
                close_old_connections()
                self.step()
                pause = 0.0
            except _OUTAGES as error:
                pause = min(_LONGEST_PAUSE_SECONDS, pause * 2 or 0.1)
                logger.warning("The consumer waits: %s: %s", type(error).__name__, error)
                self._start_over()
                stop.wait(pause)

    def step(self) -> int:
        """Read once and store what came; returns how many entries were handled.

        Raises:
            OperationalError, InterfaceError, RedisError, ChannelUnavailable: a server is away; all is kept.

        """
        if time.monotonic() >= self._refresh_at:
            self._refresh()
        try:
            return self._handle_pending() + self._claim_left() + self._handle(self._read())
        except streams.GroupMissing:
            # One deleted stream fails the whole read: look again who is active, and only for those
            # make the group, at 0 because an entry may have come before it.
            self._workers.clear()
            self._refresh()
            # What was claimed of the others before that is ours, and not handled yet.
            self._has_pending = True
            return 0

    def _start_over(self) -> None:
        """Distrust everything remembered: the servers may have forgotten as well."""
        self._workers.clear()
        self._has_pending = True
        self._refresh_at = self._claim_at = 0.0

    def _refresh(self) -> None:
        rows = Worker.objects.filter(status__in=ACTIVE, drained_at=None).values_list("id", "stop_failure")
        active = {
            output_stream(str(worker_id)): worker_id
            for worker_id, failure in rows
            if not (failure and failure["code"] == outcomes.FLOOD_CODE)
        }
        with answering():
            for stream in [WAKEUP_STREAM, *(active.keys() - self._workers.keys())]:
                streams.ensure_group(self._client, stream=stream, group=OUTPUT_GROUP)
        self._workers = active
        self._guard.forget_all_but(set(active.values()))
        self._refresh_at = time.monotonic() + self._pace.refresh_seconds

    def _read(self) -> list[Entry]:
        return streams.read_new(
            self._client,
            group=OUTPUT_GROUP,
            consumer=self.name,
            streams=[WAKEUP_STREAM, *self._workers],
            count=self._pace.entries_per_stream,
            block_ms=self._pace.block_ms,
        )

    def _handle_pending(self) -> int:
        """Handle first what this consumer had been given before an outage."""
        handled = 0
        while self._has_pending:
            entries = streams.read_pending(
                self._client,
                group=OUTPUT_GROUP,
                consumer=self.name,
                streams=[WAKEUP_STREAM, *self._workers],
                count=self._pace.entries_per_stream,
            )
            handled += self._handle(entries)
            self._has_pending = bool(entries)
        return handled

    def _claim_left(self) -> int:
        """Take over, to the end of the list, what a dead consumer left behind."""
        if time.monotonic() < self._claim_at:
            return 0
        self._claim_at = time.monotonic() + self._pace.claim_seconds
        handled = 0
        left = streams.claim_stale_of_all(
            self._client,
            streams=[WAKEUP_STREAM, *self._workers],
            group=OUTPUT_GROUP,
            consumer=self.name,
            min_idle_ms=self._pace.claim_idle_ms,
        )
        while entries := list(islice(left, self._pace.batch)):
            handled += self._handle(entries)
        self._relieve()
        return handled

    def _relieve(self) -> None:
        """Stop the worker that fills the server, so that the others can speak."""
        largest = self._channel.largest_output_when_full(list(self._workers.values()), full_at=_FULL_AT)
        if largest is not None:
            facts = Facts()
            self._stop_flooding(largest, facts)
            self._tell(facts)

    def _handle(self, entries: Sequence[Entry]) -> int:
        spoken = [self._masked(entry) for entry in entries if entry.stream != WAKEUP_STREAM]
        if len(spoken) < len(entries):
            self._refresh_at = 0.0
            self._acknowledge(entry for entry in entries if entry.stream == WAKEUP_STREAM)
        for start in range(0, len(spoken), self._pace.batch):
            self._handle_batch(spoken[start : start + self._pace.batch])
        return len(spoken)

    def _masked(self, entry: Entry) -> Entry:
        return mask_entry(entry, composition.masked_words(self._workers[entry.stream]))

    def _handle_batch(self, entries: Sequence[Entry]) -> None:
        reports, dead = self._parse(entries)
        facts = self._store_all(reports, dead)
        self._bury(dead)
        self._count(entries, facts)
        self._acknowledge(entries)
        self._tell(facts)

    def _parse(self, entries: Iterable[Entry]) -> tuple[list[Report], list[tuple[Entry, str]]]:
        reports: list[Report] = []
        dead: list[tuple[Entry, str]] = []
        for entry in entries:
            if entry.data is None:
                self.trimmed_count += 1
                logger.warning("Entry %s of %s is empty", entry.id, entry.stream)
                continue
            try:
                reports.append(parse(self._workers[entry.stream], entry))
            except Unreadable as error:
                dead.append((entry, str(error)))
        return reports, dead

    def _store_all(self, reports: list[Report], dead: list[tuple[Entry, str]]) -> Facts:
        """Store a batch in one transaction, or, if that fails, one by one to find the culprit."""
        try:
            facts = self._store(reports) if reports else Facts()
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            logger.exception("A batch of %d could not be stored; trying one by one", len(reports))
            facts = self._store_singly(reports, dead)
        dead.extend((report.entry, reason) for report, reason in facts.refused)
        return facts

    def _store_singly(self, reports: list[Report], dead: list[tuple[Entry, str]]) -> Facts:
        together = Facts()
        for report in reports:
            try:
                together.add(self._store([report]))
            except (OperationalError, InterfaceError):
                raise
            except Exception as error:
                # Whatever is wrong with one entry, it is kept whole and must not hold up the others.
                logger.exception("Entry %s of %s could not be stored", report.entry.id, report.entry.stream)
                dead.append((report.entry, f"could not be stored: {type(error).__name__}"))
        return together

    def _bury(self, dead: list[tuple[Entry, str]]) -> None:
        """Keep unreadable entries whole; only then may they be acknowledged."""
        for entry, reason in dead:
            logger.warning("Entry %s of %s became a dead letter: %s", entry.id, entry.stream, reason)
        DeadLetter.objects.bulk_create(
            [
                DeadLetter(
                    worker_id=self._workers.get(entry.stream),
                    stream=entry.stream,
                    entry_id=entry.id,
                    payload=payload_of(entry),
                    reason=reason,
                )
                for entry, reason in dead
            ],
            ignore_conflicts=True,
        )

    def _count(self, entries: Sequence[Entry], facts: Facts) -> None:
        counts: dict[str, int] = {}
        for entry in entries:
            counts[entry.stream] = counts.get(entry.stream, 0) + 1
        for stream, count in counts.items():
            worker_id = self._workers.get(stream)
            if worker_id is not None and self._guard.is_flooding(worker_id, count):
                self._stop_flooding(worker_id, facts)

    def _stop_flooding(self, worker_id: UUID, facts: Facts) -> None:
        if consumer_apply.stop(worker_id, outcomes.flood(self._flood_limit)):
            logger.warning("Worker %s floods the channel and is stopped", worker_id)
        facts.look_at.add(worker_id)
        self._refresh_at = 0.0

    def _acknowledge(self, entries: Iterable[Entry]) -> None:
        by_stream: dict[str, list[str]] = {}
        for entry in entries:
            by_stream.setdefault(entry.stream, []).append(entry.id)
        streams.acknowledge_all(self._client, group=OUTPUT_GROUP, ids=by_stream)
