"""What every command starts from: credentials, API, output, and permission."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import typer

from worker_image.cli import credentials as stored
from worker_image.cli.api import Api, ApiError
from worker_image.cli.output import Output
from worker_image.contract import is_allowed


@dataclass(slots=True)
class Options:
    """The options before the command."""

    as_json: bool = False
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Session:
    """One command's means."""

    api: Api
    output: Output


@contextmanager
def session(context: typer.Context, *commands: str) -> Iterator[Session]:
    """Check the permission, open the API, and turn errors into messages and exit codes.

    Args:
        context: of the running command.
        commands: its permission name, such as ``project.get``, or alternatives; nothing when it needs none.
    """
    options = context.find_object(Options) or Options()
    output = Output(as_json=options.as_json)
    who = stored.load()
    with output.errors():
        allowed = who.allowed_commands
        if commands and allowed is not None and not _is_any_allowed(list(allowed), commands):
            name = " or ".join(commands)
            raise ApiError("permission_denied", f"Permission denied: {name} is not allowed to this worker.")
        yield Session(api=Api(who, language=options.language), output=output)


def _is_any_allowed(allowed: list[str], commands: tuple[str, ...]) -> bool:
    return any(is_allowed(allowed, command) for command in commands)
