"""``token list``, ``token create``, ``token revoke``: one's own personal tokens."""

from typing import Annotated, Any

import typer

from worker_image.cli.context import session
from worker_image.cli.output import table

app = typer.Typer(help="Your personal tokens.", no_args_is_help=True)
COLUMNS = ("id", "prefix", "name", "scopes", "expires_at", "last_used_at")


@app.command("list")
def list_tokens(context: typer.Context) -> None:
    """List your tokens: what they are called, what they are good for, when they were used."""
    with session(context, "token.list") as current:
        listed = list(current.api.list("/api/tokens/"))
        current.output.success(listed, show=table(COLUMNS, listed))


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="To tell it from your others.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="read, write or operate; repeat it. None: all of yours.")
    ] = None,
    days: Annotated[int, typer.Option(help="How long it is good.")] = 90,
) -> None:
    """Make a token for a program; it is shown this once."""
    body: dict[str, Any] = {"name": name, "expires_in_days": days}
    if scope:
        body["scopes"] = scope
    with session(context, "token.create") as current:
        made = current.api.post("/api/tokens/", body, create=True)
        # A repeat whose first answer was lost does not show it again.
        lost = "The answer was lost on its way: revoke this token and make another."
        current.output.success(made, message=f"Shown this once: {made['token']}" if made["token"] else lost)


@app.command()
def revoke(context: typer.Context, token_id: str) -> None:
    """Revoke a token by its id."""
    with session(context, "token.revoke") as current:
        current.api.delete(f"/api/tokens/{token_id}/")
        current.output.success(message="Revoked.")
