"""Brings an existing database up to the models without losing a stored row.

At every start: missing tables, columns and indexes are added. A column that is stored as
required, but which the models no longer require or no longer know, becomes optional. Nothing
is dropped, so the previous release keeps working on the same database. Then the steps of
`app.migrations` run that did not run before.
"""

from collections.abc import Mapping

from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, inspect, select, text
from sqlalchemy.schema import CreateColumn

from app.migrations import Step

_APPLIED = Table("applied_migrations", MetaData(), Column("name", String(200), primary_key=True))


class SchemaUpgradeRefused(RuntimeError):
    """The models ask for a change that stored rows cannot follow."""


def upgrade(engine: Engine, metadata: MetaData, steps: Mapping[str, Step]) -> None:
    """Make the stored schema fit the models, all of it or nothing.

    Raises:
        SchemaUpgradeRefused: an added column is required and has no server default.
    """
    if engine.dialect.name == "sqlite":
        _upgrade_sqlite(engine, metadata, steps)
        return
    with engine.begin() as connection:
        # Two processes that start at once take turns; the second one finds nothing left to do.
        connection.execute(text("SELECT pg_advisory_xact_lock(7305917)"))
        _bring_up(connection, metadata, steps)


def _upgrade_sqlite(engine: Engine, metadata: MetaData, steps: Mapping[str, Step]) -> None:
    with engine.connect() as connection:
        driver = connection.connection
        # A table is rebuilt by copying; its references must not be acted on meanwhile.
        driver.execute("PRAGMA foreign_keys=OFF")
        try:
            with connection.begin():
                _bring_up(connection, metadata, steps)
        finally:
            driver.execute("PRAGMA foreign_keys=ON")


def _bring_up(connection: Connection, metadata: MetaData, steps: Mapping[str, Step]) -> None:
    existing = set(inspect(connection).get_table_names())
    metadata.create_all(connection)
    for table in metadata.sorted_tables:
        if table.name in existing:
            _extend(connection, table)
    _APPLIED.create(connection, checkfirst=True)
    applied = set(connection.scalars(select(_APPLIED.columns.name)))
    for name, step in steps.items():
        if name not in applied:
            step(connection)
            connection.execute(_APPLIED.insert().values(name=name))


def _extend(connection: Connection, table: Table) -> None:
    stored = {column["name"]: column for column in inspect(connection).get_columns(table.name)}
    for column in table.columns:
        if column.name not in stored:
            _add_column(connection, table, column)
    identity = inspect(connection).get_pk_constraint(table.name)["constrained_columns"]
    too_strict = [
        name
        for name, column in stored.items()
        if not column["nullable"]
        and name not in identity
        and column["default"] is None
        and (name not in table.columns or table.columns[name].nullable)
    ]
    if too_strict:
        _make_optional(connection, table.name, too_strict)
    for index in table.indexes:
        index.create(connection, checkfirst=True)


def _add_column(connection: Connection, table: Table, column: Column[object]) -> None:
    if not column.nullable and column.server_default is None:
        raise SchemaUpgradeRefused(
            f"{table.name}.{column.name}: an added column must be nullable or have a server default"
        )
    quote = connection.dialect.identifier_preparer.quote
    definition = CreateColumn(column).compile(dialect=connection.dialect)
    connection.exec_driver_sql(f"ALTER TABLE {quote(table.name)} ADD COLUMN {definition}")


def _make_optional(connection: Connection, name: str, columns: list[str]) -> None:
    if connection.dialect.name == "sqlite":
        _rebuild(connection, name, columns)
        return
    quote = connection.dialect.identifier_preparer.quote
    for column in columns:
        connection.exec_driver_sql(f"ALTER TABLE {quote(name)} ALTER COLUMN {quote(column)} DROP NOT NULL")


def _rebuild(connection: Connection, name: str, columns: list[str]) -> None:
    """Copy a table into one whose columns are optional, because SQLite cannot alter a column."""
    old = Table(name, MetaData(), autoload_with=connection)
    for column in columns:
        old.columns[column].nullable = True
    rebuilt = old.to_metadata(MetaData(), name=f"{name}__rebuilt")
    rebuilt.indexes.clear()
    rebuilt.create(connection)
    connection.execute(rebuilt.insert().from_select([c.name for c in old.columns], old.select()))
    indexes = list(old.indexes)
    connection.exec_driver_sql(f"DROP TABLE {connection.dialect.identifier_preparer.quote(name)}")
    quote = connection.dialect.identifier_preparer.quote
    connection.exec_driver_sql(f"ALTER TABLE {quote(rebuilt.name)} RENAME TO {quote(name)}")
    for index in indexes:
        index.create(connection)
