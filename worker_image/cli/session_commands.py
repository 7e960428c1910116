"""``login``, ``logout``, ``respond``, ``ask``."""

import platform
from typing import Annotated

import typer

from worker_image.cli import credentials as stored
from worker_image.cli.api import Api, ApiError
from worker_image.cli.context import Options, session
from worker_image.cli.output import Output


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the tree."""
    app.command()(login)
    app.command()(logout)
    app.command()(respond)
    app.command()(ask)


def login(
    context: typer.Context,
    url: Annotated[str, typer.Option(help="Where the API is.")] = stored.DEFAULT_URL,
    username: Annotated[str, typer.Option(prompt=True)] = "",
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, envvar="ORCHESTRATOR_PASSWORD")] = "",
) -> None:
    """Sign in and keep a personal token in a file only you can read."""
    options = context.find_object(Options) or Options()
    output = Output(as_json=options.as_json)
    with output.errors():
        answer = Api(stored.Credentials(url=url), language=options.language).post(
            "/api/login/", {"username": username, "password": password, "name": _here()}
        )
        path = stored.keep(stored.Credentials(url=url, token=answer["token"]))
    output.success({"expires_at": answer["expires_at"]}, message=f"Signed in; the token is kept in {path}.")


def _here() -> str:
    """Name the token after the machine that keeps it."""
    name = f"login from {platform.node() or 'somewhere'}"
    return "".join(sign for sign in name if sign.isprintable())[:80]


def logout(context: typer.Context) -> None:
    """Revoke the kept token and forget it."""
    options = context.find_object(Options) or Options()
    output = Output(as_json=options.as_json)
    with output.errors():
        try:
            Api(stored.load(), language=options.language).post("/api/logout/")
        except ApiError as error:
            # Without its token on the server there is nothing left to revoke.
            if error.kind not in {"not_authenticated", "authentication_failed", "permission_denied"}:
                raise
        stored.forget()
    output.success(message="Signed out.")


def respond(
    context: typer.Context, message: Annotated[str, typer.Option(help="What to tell the person.")]
) -> None:
    """Tell your person something (workers only)."""
    with session(context, "respond") as current:
        answer = current.api.post("/api/worker/messages", {"message": message}, create=True)
        current.output.success(answer, message="Told.")


def ask(
    context: typer.Context,
    text: Annotated[str, typer.Option(help="The question, in the person's language.")],
    option: Annotated[
        list[str] | None, typer.Option(help="An answer to choose; repeat it. None: any text is one.")
    ] = None,
) -> None:
    """Ask your person something (Product Owners only); the answer comes as your next message."""
    with session(context, "respond") as current:
        body = {"text": text, "options": option or []}
        current.output.success(current.api.post("/api/worker/questions", body), message="Asked.")
