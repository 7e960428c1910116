"""``infra servers`` and ``infra provisionings``: servers are set up, put right, taken out, erased."""

import time
from collections.abc import Callable
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from worker_image.cli.api import ApiError
from worker_image.cli.context import Session, session
from worker_image.cli.output import ExitCode, Output, plain, table
from worker_image.cli.typing_in import read_seen

servers = typer.Typer(help="The servers; alone: a list of them.", invoke_without_command=True)

ServerArgument = Annotated[int, typer.Argument(metavar="SERVER", help="Its id, as `infra servers` has it.")]
_COLUMNS: Final = ("id", "name", "kind", "host", "status", "health", "ports")
_ATTEMPT_COLUMNS: Final = ("id", "server_id", "kind", "status", "attempt", "current_task", "created_at")
_ENDED: Final = frozenset({"succeeded", "failed", "crashed", "canceled", "superseded"})
_POLL_SECONDS: Final = 1.0
_TASKS_SHOWN: Final = ("changed", "failed", "unreachable")


class Turn(StrEnum):
    """Whether a server is taken out."""

    ON = "on"
    OFF = "off"


def register(app: typer.Typer) -> None:
    """Add the commands of this module that stand beside ``servers``."""
    app.command()(provisionings)


@servers.callback()
def list_servers(context: typer.Context) -> None:
    """List the servers."""
    if context.invoked_subcommand is not None:
        return
    with session(context, "infra.servers") as current:
        listed = list(current.api.list("/api/servers/"))
        shown = [{**row, "ports": _range_of(row)} for row in listed]
        current.output.success(listed, show=table(_COLUMNS, shown))


def _range_of(row: dict[str, Any]) -> str:
    return f"{row.get('port_range_start')}-{row.get('port_range_end')}"


@servers.command()
def provision(
    context: typer.Context,
    server: ServerArgument,
    replace: Annotated[
        bool, typer.Option("--replace", help="Let an unfinished set-up count no more, and begin anew.")
    ] = False,
) -> None:
    """Have a server set up; nothing on it is erased. For operators, as all that follows."""
    with session(context) as current:
        asked = current.api.post(f"/api/servers/{server}/provision/", {"replace": replace}, create=True)
        _show_asked(current, asked, "The set-up has been asked for.")


@servers.command()
def recover(context: typer.Context, server: ServerArgument) -> None:
    """Have a server that was set up put right: access, Docker, firewall, what runs on it."""
    with session(context) as current:
        asked = current.api.post(f"/api/servers/{server}/recover/", create=True)
        _show_asked(current, asked, "The recovery has been asked for.")


@servers.command()
def cancel(context: typer.Context, server: ServerArgument) -> None:
    """End what is being done to a server; what was done so far stays done."""
    with session(context) as current:
        asked = current.api.post(f"/api/servers/{server}/cancel/")
        current.output.success(asked, message="Asked to stop.")


@servers.command()
def maintenance(context: typer.Context, server: ServerArgument, turn: Turn) -> None:
    """Take a server out (on), or bring it back (off)."""
    with session(context) as current:
        address = f"/api/servers/{server}/maintenance/"
        if turn is Turn.ON:
            current.api.post(address)
        else:
            current.api.delete(address)
        shown = current.api.get(f"/api/servers/{server}/")
        current.output.success(shown, message=f"{shown['name']} is {shown['status']}.")


@servers.command()
def decommission(context: typer.Context, server: ServerArgument) -> None:
    """Give a server up for good: what ran there counts as ended; asks for the server's name."""
    with session(context) as current:
        name = current.api.get(f"/api/servers/{server}/")["name"]
        if read_seen(f"Data and archives on it are left behind. Type {name!r} to give it up") != name:
            raise ApiError("invalid", "The name that was typed is not the server's.")
        shown = current.api.post(f"/api/servers/{server}/decommission/")
        current.output.success(shown, message=f"{shown['name']} is {shown['status']}.")


@servers.command()
def reinstall(
    context: typer.Context,
    server: ServerArgument,
    system: Annotated[str, typer.Option(help="By the provider's name; by default the one that it has.")] = "",
) -> None:
    """Have a server ERASED and set up anew: shows what is lost, and asks for the server's name."""
    with session(context) as current:
        losses: dict[str, Any] = current.api.get(f"/api/servers/{server}/reinstall/")
        if losses["refusal"]:
            raise ApiError("conflict", losses["refusal"])
        _show_losses(losses)
        body = {
            "name": read_seen(f"Type {losses['name']!r} to have it erased"),
            "projects": [project["id"] for project in losses["projects"]],
            "system": system,
        }
        asked = current.api.post(f"/api/servers/{server}/reinstall/", body, create=True)
        _show_asked(current, asked, "The reinstallation has been asked for.")


def provisionings(
    context: typer.Context,
    attempt: Annotated[str, typer.Argument(metavar="[ID]", help="Without it: the newest ones.")] = "",
    server: Annotated[int | None, typer.Option(help="Only of this server.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Stay until it has ended.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 20,
) -> None:
    """List attempts to set servers up, or show one: how far it is, and what each task came to."""
    with session(context) as current:
        if not attempt:
            found = current.api.list("/api/provisionings/", server_id=server)
            listed = [{name: row.get(name) for name in _ATTEMPT_COLUMNS} for row in islice(found, limit)]
            current.output.success(listed, show=table(_ATTEMPT_COLUMNS, listed))
            return
        row = _follow(current, attempt) if watch else current.api.get(f"/api/provisionings/{attempt}/")
        if watch and row["status"] != "succeeded":
            _fail(current.output, row)
        current.output.success(row, show=_drawer(row))


def _follow(current: Session, attempt: str) -> dict[str, Any]:
    told = ""
    while True:
        row: dict[str, Any] = current.api.get(f"/api/provisionings/{attempt}/")
        if row["status"] in _ENDED:
            return row
        said = f"{row['status']}: {row['current_task']}" if row["current_task"] else row["status"]
        if said != told and not current.output.as_json:
            current.output.console.print(plain(said), markup=False)
        told = said
        time.sleep(_POLL_SECONDS)


def _fail(output: Output, row: dict[str, Any]) -> None:
    failure = row.get("failure") or {}
    error = ApiError(
        failure.get("code") or row["status"],
        failure.get("message") or f"It was {row['status']}.",
        {key: failure[key] for key in ("kind", "retryable") if key in failure},
    )
    output.fail(error, data=row, code=ExitCode.FAILED)


def _show_asked(current: Session, asked: dict[str, Any], message: str) -> None:
    watching = f"Watch it: orchestrator infra provisionings {asked['id']} --watch"
    current.output.success(asked, message=f"{message} {watching}")


def _show_losses(losses: dict[str, Any]) -> None:
    """Tell people what is lost, whatever a program reads of the answer."""
    slugs = ", ".join(project["slug"] for project in losses["projects"]) or "none that we know of"
    where = f"{losses['name']} ({losses['host']}, {losses['provider']} {losses['provider_id']})"
    stderr = Console(stderr=True, highlight=False, soft_wrap=True)
    for line in (
        f"{where} will be ERASED. Lost for good:",
        f"  projects on it: {slugs}",
        "  their data, and every backup that is kept on it",
    ):
        stderr.print(plain(line), markup=False)


def _drawer(row: dict[str, Any]) -> Callable[[Console], None]:
    """Return a drawer of one attempt: where it stands, its tasks that did something, why it ended."""
    recap = row.get("recap") or {}
    counts = ", ".join(f"{count} {name}" for name, count in (recap.get("counts") or {}).items())
    failure = row.get("failure") or {}
    facts = {
        "status": row["status"],
        "attempt": row["attempt"],
        "now": row["current_task"] if row["status"] not in _ENDED else "",
        "tasks": counts,
        "left out": ", ".join(recap.get("left_out") or ()),
        "failure": f"{failure.get('message')} ({failure.get('code')})" if failure else "",
    }
    tasks = [task for task in recap.get("tasks") or () if task.get("outcome") in _TASKS_SHOWN]

    def show(console: Console) -> None:
        for name, value in facts.items():
            if value:
                console.print(plain(f"{name + ':':<10}{value}"), markup=False)
        if tasks:
            table(("outcome", "name"), tasks)(console)

    return show
