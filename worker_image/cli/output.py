"""What the command line prints: JSON for programs, words for people; and how it exits."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from worker_image.cli.api import ApiError


class ExitCode(IntEnum):
    """How the command ended."""

    OK = 0
    FAILED = 1  # refused, or the work did not succeed
    USAGE = 2
    DENIED = 3
    UNAVAILABLE = 4


_CODES = {"permission_denied": ExitCode.DENIED, "unavailable": ExitCode.UNAVAILABLE}


class Output:
    """One place that prints, in the form this call asked for.

    Args:
        as_json: force JSON; it is also used whenever stdout is not a terminal.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json or not sys.stdout.isatty()
        self.console = Console(highlight=False, soft_wrap=True)

    def success(
        self, data: Any = None, *, message: str = "", show: Callable[[Console], None] | None = None
    ) -> None:
        """Print a result.

        Args:
            data: the JSON form.
            message: one sentence.
            show: draws the form for people; without it they get the message, or the data.
        """
        if self.as_json:
            _print_json({"success": True, "data": data, "message": message})
        elif show is not None:
            show(self.console)
        else:
            shown = message or json.dumps(data, ensure_ascii=False, indent=2)
            self.console.print(plain(shown), markup=False)

    def fail(self, error: ApiError, *, data: Any = None, code: ExitCode | None = None) -> NoReturn:
        """Print an error and leave with its exit code.

        Args:
            error: what to tell.
            data: the JSON form of what was asked for all the same.
            code: how to leave when the kind of the error is not about this call.
        """
        if self.as_json:
            record: dict[str, Any] = {
                "success": False,
                "error": error.kind,
                "message": error.message,
                "details": dict(error.details),
            }
            if data is not None:
                record["data"] = data
            _print_json(record)
            # People who watch a program's standard error see it too.
            print(error.message, file=sys.stderr)
        else:
            stderr = Console(stderr=True, highlight=False, soft_wrap=True)
            stderr.print(plain(f"Error: {error.message}"), style="bold red", markup=False)
            for name, value in error.details.items():
                stderr.print(plain(f"  {name}: {value}"), markup=False)
        raise typer.Exit(_CODES.get(error.kind, ExitCode.FAILED) if code is None else code)

    @contextmanager
    def errors(self) -> Any:
        """Turn an ``ApiError`` of the block into its message and exit code."""
        try:
            yield
        except ApiError as error:
            self.fail(error)


def table(
    columns: Iterable[str], rows: Iterable[Mapping[str, Any]], *, nothing: str = "Nothing yet."
) -> Callable[[Console], None]:
    """Return a drawer of rows under these columns.

    Args:
        columns: names of what is shown of each row.
        rows: what is shown.
        nothing: what is said instead of an empty list.
    """
    names, listed = list(columns), list(rows)

    def show(console: Console) -> None:
        if not listed:
            console.print(nothing)
            return
        drawn = Table(box=None, pad_edge=False, header_style="bold")
        for name in names:
            # An id that is cut cannot be copied.
            drawn.add_column(name, no_wrap=name == "id" or name.endswith("_id"), overflow="fold")
        for row in listed:
            cells = (row.get(name) for name in names)
            # As Text: what people wrote is no markup.
            drawn.add_row(*(Text("" if cell is None else plain(str(cell))) for cell in cells))
        console.print(drawn)

    return show


def plain(text: str) -> str:
    """Return a text without what a terminal would obey: agents and services wrote parts of it."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else "\ufffd" for character in text
    )


def _print_json(record: Mapping[str, Any]) -> None:
    print(json.dumps(record, ensure_ascii=False))
