"""The command tree of ``orchestrator``."""

import locale
import os
from typing import Annotated

import typer

from worker_image.cli import (
    attachment_commands,
    diagnose_commands,
    infra_commands,
    project_commands,
    run_commands,
    session_commands,
    task_commands,
    token_commands,
)
from worker_image.cli.context import Options

app = typer.Typer(
    name="orchestrator",
    help="One message in, a tested and running project out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(project_commands.app, name="project")
app.add_typer(task_commands.engineering, name="engineering")
app.add_typer(task_commands.deploy, name="deploy")
app.add_typer(task_commands.task, name="task")
app.add_typer(attachment_commands.app, name="attachment")
app.add_typer(infra_commands.app, name="infra")
app.add_typer(diagnose_commands.app, name="diagnose")
app.add_typer(token_commands.app, name="token")
session_commands.register(app)
run_commands.register(app)


def _default_language() -> str:
    words = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    name = words.split(".")[0].split("_")[0] or (locale.getlocale()[0] or "en")[:2]
    return name.lower() if name.isalpha() and name not in {"C", "POSIX"} else "en"


@app.callback()
def options(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON even on a terminal.")] = False,
    language: Annotated[
        str, typer.Option(help="Of cards, questions and reasons: en, ru; the rest is English.")
    ] = "",
) -> None:
    """Read the options before the command."""
    context.obj = Options(as_json=as_json, language=language or _default_language())


def main() -> None:
    """Entry point of the ``orchestrator`` program."""
    # Run as a module, it would call itself "python -m worker_image.cli", which nobody types.
    app(prog_name="orchestrator")


if __name__ == "__main__":
    main()
