"""Steps that stored rows need beyond added tables, columns and indexes, which the start adds by itself.

A step is a module `0001_what_it_does.py` with `def apply(connection: Connection) -> None`. Steps run once, in
the order of their names, in one transaction with the upgrade of the schema; what ran is kept in the database.
A step must suit both databases, and leave rows that the previous release can still read and write.
"""

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules

from sqlalchemy import Connection

Step = Callable[[Connection], None]


def load_steps() -> dict[str, Step]:
    """Import every step and return them by name, in their order."""
    names = sorted(module.name for module in iter_modules(__path__) if module.name[:4].isdigit())
    return {name: import_module(f"{__name__}.{name}").apply for name in names}
