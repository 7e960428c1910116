"""``attachment list | get``: the files that a person gave, or that go with a task (workers only)."""

import hashlib
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from worker_image.cli.api import Api, ApiError
from worker_image.cli.context import session
from worker_image.cli.output import table

app = typer.Typer(help="Files that came with a message or a task.", no_args_is_help=True)

_COLUMNS = ("id", "file_name", "mime_type", "size_bytes")
_PATH = "/api/worker/attachments"


@app.command("list")
def list_attachments(context: typer.Context) -> None:
    """List the files that you may fetch."""
    # No permission is named: whatever a worker may run, what was given to it is its own.
    with session(context) as current:
        listed = current.api.get(_PATH)
        current.output.success(listed, show=table(_COLUMNS, listed))


@app.command()
def get(
    context: typer.Context,
    attachment: Annotated[str, typer.Argument(metavar="ID_OR_NAME")],
    to: Annotated[
        Path | None, typer.Option(help="A directory, or the file to write; by default ~/attachments.")
    ] = None,
) -> None:
    """Fetch one of these files; an existing file is not overwritten."""
    with session(context) as current:
        row = _find(current.api, attachment)
        # Not below the working directory: what lies there may be committed.
        to = to or Path.home() / "attachments"
        path = to if to.suffix and not to.is_dir() else to / row["file_name"]
        content = current.api.download(f"{_PATH}/{row['id']}")
        if hashlib.sha256(content).hexdigest() != row["sha256"]:
            raise ApiError("unavailable", "The file did not arrive as it was sent; try again.")
        _write(path, content)
        current.output.success({**row, "path": str(path)}, message=f"Written to {path}.")


def _find(api: Api, wanted: str) -> dict[str, Any]:
    rows = [row for row in api.get(_PATH) if wanted in (row["id"], row["file_name"])]
    if not rows:
        raise ApiError("not_found", f"There is no file {wanted!r} for you.")
    # The newest first: of files with the same name, the one that came last.
    return dict(rows[0])


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise ApiError("invalid", f"{path} cannot be written: {error.strerror}.") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
