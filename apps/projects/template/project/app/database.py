"""The SQLite database: one file in the data directory, safe for several processes."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import ConnectionPoolEntry

READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Base(DeclarativeBase):
    """Base of every model."""


class Database:
    """An open database file.

    Transactions begin explicitly, because the driver would otherwise commit before each change
    of the schema. Writers take the write lock at once: a reader that turned writer half-way
    would be refused without waiting when another process had written in between.
    """

    def __init__(self, directory: Path, *, timeout_seconds: float, synchronous: str = "FULL") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.reader = create_engine(
            URL.create("sqlite", database=str(directory / "app.sqlite3")),
            connect_args={"timeout": timeout_seconds, "check_same_thread": False},
        )
        self._synchronous = synchronous
        event.listen(self.reader, "connect", self._prepare)
        event.listen(self.reader, "begin", _begin)
        self.writer = self.reader.execution_options(begin="BEGIN IMMEDIATE")

    def close(self) -> None:
        """Close every connection."""
        self.reader.dispose()

    def _prepare(self, connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        connection.execute(f"PRAGMA synchronous={self._synchronous}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA foreign_keys=ON")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def open_session(request: Request) -> Iterator[Session]:
    """Give a request its session; whatever it did not commit is rolled back."""
    database: Database = request.app.state.database
    engine = database.reader if request.method in READING_METHODS else database.writer
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(open_session)]
