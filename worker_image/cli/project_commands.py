"""``project create | list | get | tasks | secret``."""

from typing import Annotated

import typer

from worker_image.cli.context import session
from worker_image.cli.naming import project_id
from worker_image.cli.output import table
from worker_image.cli.typing_in import read_unseen

app = typer.Typer(help="Projects.", no_args_is_help=True)
documents = typer.Typer(help="What projects say of themselves.", no_args_is_help=True)
app.add_typer(documents, name="documents")

MODULES_HELP = "Parts of the template, by commas: backend, telegram, worker, frontend."
ProjectArgument = Annotated[str, typer.Argument(metavar="PROJECT", help="Its id or slug.")]

_COLUMNS = ("id", "slug", "name", "status", "modules", "created_at")
_TASK_COLUMNS = ("id", "type", "status", "spec", "created_at")
_DOCUMENT_COLUMNS = ("id", "project_id", "path", "title", "updated_at")
_FOUND_COLUMNS = ("id", "project_id", "path", "title", "passage")


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="Shown to people; the repository's name derives from it.")],
    description: Annotated[str, typer.Option(help="What it should be.")] = "",
    modules: Annotated[str, typer.Option(help=MODULES_HELP)] = "backend",
    scaffold: Annotated[bool, typer.Option(help="Make the repository at once.")] = True,
) -> None:
    """Create a project, and its repository unless told otherwise."""
    with session(context, "project.create") as current:
        body = {
            "name": name,
            "description": description,
            "modules": [part.strip() for part in modules.split(",") if part.strip()],
        }
        project = current.api.post("/api/projects/", body, create=True)
        if scaffold:
            project = current.api.post(f"/api/projects/{project['id']}/scaffold/")
        current.output.success(
            project, message=f"Project {project['slug']} ({project['id']}): {project['status']}."
        )


@app.command("list")
def list_projects(context: typer.Context) -> None:
    """List your projects."""
    with session(context, "project.list") as current:
        projects = list(current.api.list("/api/projects/"))
        current.output.success(projects, show=table(_COLUMNS, projects))


@app.command()
def get(context: typer.Context, project: ProjectArgument) -> None:
    """Show one project."""
    with session(context, "project.get") as current:
        current.output.success(current.api.get(f"/api/projects/{project_id(current.api, project)}/"))


@app.command()
def tasks(context: typer.Context, project: ProjectArgument) -> None:
    """List the tasks of a project."""
    with session(context, "project.tasks") as current:
        listed = list(current.api.list("/api/tasks/", project_id=project_id(current.api, project)))
        current.output.success(listed, show=table(_TASK_COLUMNS, listed))


@app.command()
def secret(
    context: typer.Context,
    project: ProjectArgument,
    key: Annotated[str, typer.Argument(metavar="NAME", help="Written like API_KEY.")],
) -> None:
    """Give a project a secret (people only): typed in unseen, or read from standard input."""
    with session(context, "project.secret") as current:
        found = project_id(current.api, project)
        body = {"key": key, "value": read_unseen(f"Value of {key}")}
        current.api.post(f"/api/projects/{found}/secrets/", body, create=True)
        current.output.success({"key": key}, message=f"{key} is stored.")


@documents.command("list")
def list_documents(context: typer.Context, project: ProjectArgument) -> None:
    """List the documents of a project."""
    with session(context, "project.documents") as current:
        listed = list(current.api.list(f"/api/projects/{project_id(current.api, project)}/documents/"))
        current.output.success(listed, show=table(_DOCUMENT_COLUMNS, listed))


@documents.command()
def search(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help='Words, "a phrase", or, -without.')],
    project: Annotated[str | None, typer.Option(help="Only of this project: its id or slug.")] = None,
) -> None:
    """Find documents of your projects by what they say, the best match first."""
    with session(context, "project.documents") as current:
        narrowed = {} if project is None else {"project_id": project_id(current.api, project)}
        found = list(current.api.list("/api/documents/", search=text, **narrowed))
        current.output.success(found, show=table(_FOUND_COLUMNS, found))


@documents.command("get")
def get_document(context: typer.Context, document: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Show a document with its text."""
    with session(context, "project.documents") as current:
        found = current.api.get(f"/api/documents/{document}/")
        current.output.success(found, message=found["text"])
