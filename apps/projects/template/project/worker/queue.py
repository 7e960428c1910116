"""The jobs that wait, kept in one SQLite file, so that no job is lost when the worker stops.

A broker would be one more server to run, watch and back up. One worker with a file does thousands of jobs a
minute; several processes may add jobs at the same time.
"""

import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

FILE = "worker.sqlite3"
MAX_ATTEMPTS = 5
RETRY_SECONDS = 10.0  # doubled with every attempt
LEASE_SECONDS = 600.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    payload TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'running', 'done', 'failed')),
    due_at REAL NOT NULL,  -- of a running job: when its lease ends
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    ended_at REAL
);
CREATE INDEX IF NOT EXISTS jobs_by_due ON jobs (status, due_at);
CREATE TABLE IF NOT EXISTS repeats (name TEXT PRIMARY KEY, due_at REAL NOT NULL);
"""


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """A job that is to be done now."""

    id: int
    name: str
    payload: dict[str, Any]
    attempt: int  # the first is 1


class Queue:
    """An open file of jobs."""

    def __init__(self, directory: Path, *, now: Callable[[], float] = time.time) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._now = now
        # Every statement is its own transaction, unless BEGIN says otherwise.
        self._database = sqlite3.connect(directory / FILE, timeout=30, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.executescript(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._database.close()

    def add(self, name: str, payload: dict[str, Any] | None = None, *, delay_seconds: float = 0) -> int:
        """Keep a job until it is done; returns its id."""
        added = self._database.execute(
            "INSERT INTO jobs (name, payload, due_at) VALUES (?, ?, ?) RETURNING id",
            (name, json.dumps(payload or {}), self._now() + delay_seconds),
        )
        return int(added.fetchone()[0])

    def add_if_due(self, name: str, *, every_seconds: float) -> bool:
        """Add a repeated job when its time has come; missed times are made up for once."""
        now = self._now()
        due = self._database.execute(
            "INSERT INTO repeats (name, due_at) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at WHERE repeats.due_at <= ? "
            "RETURNING name",
            (name, now + every_seconds, now),
        ).fetchone()
        if due is not None:
            self.add(name)
        return due is not None

    def claim(self) -> Claimed | None:
        """Take the job that is due for the longest; a job whose worker vanished is due again."""
        now = self._now()
        row = self._database.execute(
            "UPDATE jobs SET status = 'running', attempts = attempts + 1, due_at = ? WHERE id = ("
            " SELECT id FROM jobs WHERE status IN ('waiting', 'running') AND due_at <= ?"
            " ORDER BY due_at, id LIMIT 1) RETURNING id, name, payload, attempts",
            (now + LEASE_SECONDS, now),
        ).fetchone()
        if row is None:
            return None
        return Claimed(id=row[0], name=row[1], payload=json.loads(row[2]), attempt=row[3])

    def succeed(self, job: Claimed) -> None:
        """Note that a job is done."""
        self._end(job, status="done", error=None)

    def fail(self, job: Claimed, error: str) -> bool:
        """Note that a job failed; returns whether it will be tried again."""
        if job.attempt >= MAX_ATTEMPTS:
            self._end(job, status="failed", error=error)
            return False
        due_at = self._now() + RETRY_SECONDS * 2 ** (job.attempt - 1)
        self._database.execute(
            "UPDATE jobs SET status = 'waiting', due_at = ?, error = ? WHERE id = ? AND attempts = ?",
            (due_at, error, job.id, job.attempt),
        )
        return True

    def count(self) -> dict[str, int]:
        """Return how many jobs there are by status."""
        return dict(self._database.execute("SELECT status, count(*) FROM jobs GROUP BY status"))

    def forget_done(self, *, older_than_seconds: float) -> int:
        """Remove jobs that were done long ago; returns how many."""
        limit = self._now() - older_than_seconds
        removed = self._database.execute("DELETE FROM jobs WHERE status = 'done' AND ended_at < ?", (limit,))
        return removed.rowcount

    def _end(self, job: Claimed, *, status: str, error: str | None) -> None:
        # Whoever lost the lease has nothing to say about the job any more.
        self._database.execute(
            "UPDATE jobs SET status = ?, error = ?, ended_at = ? WHERE id = ? AND attempts = ?",
            (status, error, self._now(), job.id, job.attempt),
        )
