"""A release with other models starts on the data of the release before."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Column, Connection, Index, Integer, MetaData, String, Table, inspect, text

from app.database import Database
from app.migrations import load_steps
from app.schema_upgrade import SchemaUpgradeRefused, upgrade
from app.settings import Settings


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """Give a database of the first release with one row."""
    database = Database(settings)
    upgrade(database.writer, _release(Column("year", Integer, nullable=False)), {})
    with database.writer.begin() as connection:
        connection.execute(text("INSERT INTO notes (id, year) VALUES (1, 1999)"))
    yield database
    database.close()


def _release(*columns: Column[object]) -> MetaData:
    metadata = MetaData()
    Table("notes", metadata, Column("id", Integer, primary_key=True), *columns)
    return metadata


def test_added_column_keeps_the_rows(database: Database) -> None:
    newer = _release(Column("year", Integer, nullable=False), Column("mood", String(9)))

    upgrade(database.writer, newer, {})

    with database.reader.begin() as connection:
        assert connection.execute(text("SELECT id, year, mood FROM notes")).all() == [(1, 1999, None)]


def test_added_unique_index_is_created(database: Database) -> None:
    newer = _release(Column("year", Integer, nullable=False), Column("code", String(9)))
    Index("ix_notes_code", newer.tables["notes"].columns["code"], unique=True)

    upgrade(database.writer, newer, {})
    upgrade(database.writer, newer, {})

    assert [index["name"] for index in inspect(database.reader).get_indexes("notes")] == ["ix_notes_code"]


def test_retired_column_becomes_optional_and_keeps_its_values(database: Database) -> None:
    upgrade(database.writer, _release(), {})

    with database.writer.begin() as connection:
        connection.execute(text("INSERT INTO notes (id) VALUES (2)"))
        rows = connection.execute(text("SELECT id, year FROM notes ORDER BY id")).all()
    assert rows == [(1, 1999), (2, None)]


def test_required_addition_without_default_is_refused(database: Database) -> None:
    newer = _release(Column("year", Integer), Column("mood", String(9), nullable=False))

    with pytest.raises(SchemaUpgradeRefused, match=r"notes\.mood"):
        upgrade(database.writer, newer, {})

    assert [column["name"] for column in inspect(database.reader).get_columns("notes")] == ["id", "year"]


def test_step_runs_once_and_after_the_schema_is_there(database: Database) -> None:
    newer = _release(Column("year", Integer, nullable=False), Column("mood", String(9)))

    def brighten(connection: Connection) -> None:
        connection.execute(text("UPDATE notes SET mood = 'bright', year = year + 1"))

    for _ in range(2):
        upgrade(database.writer, newer, {"0001_brighten": brighten})

    with database.reader.begin() as connection:
        assert connection.execute(text("SELECT year, mood FROM notes")).all() == [(2000, "bright")]


def test_step_that_fails_leaves_everything_as_it_was(database: Database) -> None:
    newer = _release(Column("year", Integer, nullable=False), Column("mood", String(9)))

    def fail(connection: Connection) -> None:
        connection.execute(text("UPDATE notes SET year = 0"))
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        upgrade(database.writer, newer, {"0001_fail": fail})

    assert [column["name"] for column in inspect(database.reader).get_columns("notes")] == ["id", "year"]
    with database.reader.begin() as connection:
        assert connection.execute(text("SELECT year FROM notes")).scalar_one() == 1999


def test_steps_of_the_project_are_in_order() -> None:
    names = list(load_steps())

    assert names == sorted(names)
