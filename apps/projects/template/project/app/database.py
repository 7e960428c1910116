"""The database: PostgreSQL, or SQLite in the data directory; both safe for several processes."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar

from fastapi import Depends, Request
from sqlalchemy import URL, BigInteger, Connection, Engine, Integer, create_engine, event, make_url
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import ConnectionPoolEntry

from app.settings import Settings

READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Base(DeclarativeBase):
    """Base of every model."""

    # Integers of 64 bits; SQLite's are, and numbers its rows by itself only under this name of the type.
    type_annotation_map: ClassVar = {int: BigInteger().with_variant(Integer(), "sqlite")}


class Database:
    """An open database; `writer` and `reader` may be the same engine."""

    def __init__(self, settings: Settings) -> None:
        url = settings.database_url.get_secret_value()
        if url:
            self.reader = self.writer = _open_postgresql(url, settings.database_timeout_seconds)
        else:
            self.reader, self.writer = _open_sqlite(
                settings.data_dir,
                timeout_seconds=settings.database_timeout_seconds,
                synchronous=settings.database_synchronous,
            )

    def close(self) -> None:
        """Close every connection."""
        self.reader.dispose()


def _open_postgresql(url: str, timeout_seconds: float) -> Engine:
    milliseconds = int(timeout_seconds * 1000)
    return create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,
        pool_timeout=timeout_seconds,
        connect_args={
            "connect_timeout": max(2, int(timeout_seconds)),
            "client_encoding": "utf8",
            "options": f"-c timezone=UTC -c lock_timeout={milliseconds} -c statement_timeout=30000",
        },
    )


def _open_sqlite(directory: Path, *, timeout_seconds: float, synchronous: str) -> tuple[Engine, Engine]:
    """Open one file in the data directory.

    Transactions begin explicitly, because the driver would otherwise commit before each change
    of the schema. Writers take the write lock at once: a reader that turned writer half-way
    would be refused without waiting when another process had written in between.
    """
    directory.mkdir(parents=True, exist_ok=True)
    reader = create_engine(
        URL.create("sqlite", database=str(directory / "app.sqlite3")),
        connect_args={"timeout": timeout_seconds, "check_same_thread": False},
    )

    def prepare(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA foreign_keys=ON")

    event.listen(reader, "connect", prepare)
    event.listen(reader, "begin", _begin)
    return reader, reader.execution_options(begin="BEGIN IMMEDIATE")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def open_session(request: Request) -> Iterator[Session]:
    """Give a request its session; whatever it did not commit is rolled back."""
    database: Database = request.app.state.database
    engine = database.reader if request.method in READING_METHODS else database.writer
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(open_session)]
