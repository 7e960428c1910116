"""Endpoints of workflows and their runs."""

from typing import Any

from tests.github_server import git_store, runs, workflow
from tests.github_server.routing import route
from tests.github_server.state import JobState, Run
from tests.github_server.wire import Answer, Refusal, Request, not_found, page

FOLDER = ".github/workflows"
MAX_INPUTS = 25


def _files(request: Request) -> dict[str, int]:
    """Return the workflows of the default branch with their ids."""
    repository = request.repository
    head = git_store.heads(repository.path).get(repository.default_branch)
    paths = git_store.list_files(repository.path, head, FOLDER) if head else []
    ids = repository.workflow_ids
    return {path: ids[path] for path in paths if path in ids}


def register(github: Any, repository: Any) -> None:
    """Give an id to every workflow file of the default branch: it can be dispatched from then on."""
    head = git_store.heads(repository.path).get(repository.default_branch)
    for path in git_store.list_files(repository.path, head, FOLDER) if head else []:
        if path not in repository.workflow_ids:
            repository.workflow_ids[path] = github.next_id()


def _workflow(github: Any, request: Request) -> tuple[str, int]:
    register(github, request.repository)
    wanted = request.params["workflow"]
    for path, number in _files(request).items():
        if wanted in (str(number), path.rpartition("/")[2]):
            return path, number
    raise not_found()


def _read(request: Request, path: str, sha: str) -> workflow.Workflow:
    return workflow.read(path, git_store.read(request.repository.path, sha, path) or b"")


def _show_workflow(request: Request, path: str, number: int) -> dict[str, Any]:
    repository = request.repository
    sha = git_store.heads(repository.path)[repository.default_branch]
    try:
        name = _read(request, path, sha).name
    except workflow.WorkflowInvalid:
        name = path
    url = f"{request.url}/repos/{repository.full_name}/actions/workflows/{number}"
    return {
        "id": number,
        "node_id": f"W_{number}",
        "name": name,
        "path": path,
        "state": "active",
        "url": url,
        "html_url": f"{request.base_url}/{repository.full_name}/blob/{repository.default_branch}/{path}",
        "badge_url": f"{request.base_url}/{repository.full_name}/workflows/{name}/badge.svg",
        "created_at": repository.created_at,
        "updated_at": repository.created_at,
    }


@route("GET", "/repos/{owner}/{repo}/actions/workflows", needs="actions=read")
def list_workflows(github: Any, request: Request) -> Answer:
    register(github, request.repository)
    shown = [_show_workflow(request, path, number) for path, number in _files(request).items()]
    return page(request, shown, "workflows")


@route("GET", "/repos/{owner}/{repo}/actions/workflows/{workflow}", needs="actions=read")
def read_workflow(github: Any, request: Request) -> Answer:
    return Answer(200, _show_workflow(request, *_workflow(github, request)))


@route("POST", "/repos/{owner}/{repo}/actions/workflows/{workflow}/dispatches", needs="actions=write")
def dispatch(github: Any, request: Request) -> Answer:
    path, _ = _workflow(github, request)
    body = _dispatch_fields(github, request)
    wants_details = body.get("return_run_details")
    ref = body["ref"].removeprefix("refs/heads/")
    sha = git_store.heads(request.repository.path).get(ref)
    if sha is None:
        raise Refusal(422, f"No ref found for: {body['ref']}")
    try:
        document = _read(request, path, sha)
    except workflow.WorkflowInvalid as error:
        raise Refusal(422, runs.complain(github, path, error)) from None
    if "workflow_dispatch" not in document.triggers:
        raise Refusal(422, "Workflow does not have 'workflow_dispatch' trigger")
    declared = document.triggers["workflow_dispatch"].get("inputs") or {}
    inputs = _inputs(declared, body.get("inputs") or {})
    if github.stage.loses_dispatches:
        return Answer(204)
    spec = runs.Start("workflow_dispatch", path, ref, sha, sha, f"refs/heads/{ref}", inputs=inputs)
    run = runs.start(github, request.repository, spec, document)
    run.hidden_listings = github.stage.new_runs_are_hidden_for
    if not wants_details:
        return Answer(204)
    view = runs.show(request.base_url, request.repository, run)
    return Answer(200, {"workflow_run_id": run.id, "run_url": view["url"], "html_url": view["html_url"]})


def _dispatch_fields(github: Any, request: Request) -> dict[str, Any]:
    body = request.json()
    for key in body:
        is_known = key in ("ref", "inputs") or (
            key == "return_run_details" and github.stage.knows_run_details
        )
        if not is_known:
            raise Refusal(422, f'Invalid request.\n\n"{key}" is not a permitted key.')
    if not isinstance(body.get("ref"), str):
        raise Refusal(422, 'Invalid request.\n\n"ref" wasn\'t supplied.')
    return body


def _inputs(declared: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs as the workflow sees them, or refuse them in GitHub's words."""
    unexpected = [name for name in given if name not in declared]
    if unexpected:
        raise Refusal(422, f"Unexpected inputs provided: {unexpected}".replace("'", '"'))
    if len(given) > MAX_INPUTS:
        raise Refusal(422, f"you may only define up to {MAX_INPUTS} `inputs` for a `workflow_dispatch` event")
    inputs: dict[str, Any] = {}
    for name, settings in declared.items():
        settings = settings or {}
        value = given.get(name, settings.get("default", ""))
        if settings.get("required") and name not in given and "default" not in settings:
            raise Refusal(422, f"Required input '{name}' not provided")
        inputs[name] = _typed(name, settings, value)
    if sum(len(str(value)) for value in inputs.values()) > 65_535:
        raise Refusal(422, "inputs are too large.")
    return inputs


def _typed(name: str, settings: dict[str, Any], value: Any) -> Any:
    kind = settings.get("type", "string")
    if kind == "boolean":
        if str(value).lower() not in ("true", "false", ""):
            raise Refusal(422, f"Provided value '{value}' for input '{name}' is not a boolean")
        return str(value).lower() == "true"
    if kind == "choice" and value not in settings.get("options", []):
        raise Refusal(422, f"Provided value '{value}' for input '{name}' not in the list of allowed values")
    if isinstance(value, dict | list):
        raise Refusal(422, f"Invalid request.\n\nFor 'properties/{name}', {value!r} is not a string.")
    return str(value)


# --- Runs -------------------------------------------------------------------


def _list(request: Request, found: list[Run]) -> Answer:
    query = request.query
    word = query.get("status")
    found = [
        run
        for run in found
        if query.get("event") in (None, run.event) and query.get("branch") in (None, run.head_branch)
        if query.get("head_sha") in (None, run.head_sha) and word in (None, run.status, run.conclusion)
        if _is_created(run, query.get("created"))
    ]
    hidden = [run for run in found if run.hidden_listings > 0]
    for run in hidden:
        run.hidden_listings -= 1
    found = [run for run in found if run not in hidden]
    found.sort(key=lambda run: -run.id)
    shown = [runs.show(request.base_url, request.repository, run) for run in found]
    return page(request, shown, "workflow_runs")


def _is_created(run: Run, wanted: str | None) -> bool:
    if not wanted:
        return True
    if wanted.startswith(">="):
        return run.created_at >= wanted[2:]
    if wanted.startswith(">"):
        return run.created_at > wanted[1:]
    first, separator, last = wanted.partition("..")
    if not separator:
        return run.created_at.startswith(wanted)
    return first.strip("*") <= run.created_at and (last in ("", "*") or run.created_at <= last)


@route("GET", "/repos/{owner}/{repo}/actions/runs", needs="actions=read")
def list_runs(github: Any, request: Request) -> Answer:
    suite = request.query.get("check_suite_id")
    return _list(request, [run for run in request.repository.runs if suite in (None, str(run.suite_id))])


@route("GET", "/repos/{owner}/{repo}/actions/workflows/{workflow}/runs", needs="actions=read")
def list_workflow_runs(github: Any, request: Request) -> Answer:
    path, _ = _workflow(github, request)
    return _list(request, [run for run in request.repository.runs if run.path == path])


def find_run(request: Request) -> Run:
    run: Run | None = request.repository.run(request.number("run"))
    if run is None:
        raise not_found()
    return run


@route("GET", "/repos/{owner}/{repo}/actions/runs/{run}", needs="actions=read")
def read_run(github: Any, request: Request) -> Answer:
    return Answer(200, runs.show(request.base_url, request.repository, find_run(request)))


@route("GET", "/repos/{owner}/{repo}/actions/runs/{run}/attempts/{attempt}", needs="actions=read")
def read_attempt(github: Any, request: Request) -> Answer:
    run = find_run(request)
    if not 1 <= request.number("attempt") <= run.attempt:
        raise not_found()
    view = runs.show(request.base_url, request.repository, run)
    if request.number("attempt") < run.attempt:
        jobs = run.jobs_of(request.number("attempt"))
        words = [job.conclusion for job in jobs]
        is_bad = next((word for word in words if word not in ("success", "skipped")), "success")
        view |= {"run_attempt": request.number("attempt"), "status": "completed", "conclusion": is_bad}
    return Answer(200, view)


def _show_jobs(request: Request, run: Run, jobs: list[JobState]) -> Answer:
    shown = [runs.show_job(request.base_url, request.repository, run, job) for job in jobs]
    return page(request, shown, "jobs")


@route("GET", "/repos/{owner}/{repo}/actions/runs/{run}/jobs", needs="actions=read")
def list_jobs(github: Any, request: Request) -> Answer:
    run = find_run(request)
    is_all = request.query.get("filter") == "all"
    return _show_jobs(request, run, run.jobs if is_all else run.jobs_of(run.attempt))


@route("GET", "/repos/{owner}/{repo}/actions/runs/{run}/attempts/{attempt}/jobs", needs="actions=read")
def list_attempt_jobs(github: Any, request: Request) -> Answer:
    read_attempt(github, request)
    run = find_run(request)
    return _show_jobs(request, run, run.jobs_of(request.number("attempt")))


@route("POST", "/repos/{owner}/{repo}/actions/runs/{run}/cancel", needs="actions=write")
def cancel_run(github: Any, request: Request) -> Answer:
    run = find_run(request)
    if run.status == "completed":
        raise Refusal(409, "Cannot cancel a workflow run that is completed.")
    github.runner.cancel(run)
    return Answer(202, {})


@route("POST", "/repos/{owner}/{repo}/actions/runs/{run}/force-cancel", needs="actions=write")
def force_cancel_run(github: Any, request: Request) -> Answer:
    return cancel_run(github, request)


@route("POST", "/repos/{owner}/{repo}/actions/runs/{run}/rerun", needs="actions=write")
def rerun(github: Any, request: Request) -> Answer:
    return _again(github, request, find_run(request), None)


@route("POST", "/repos/{owner}/{repo}/actions/runs/{run}/rerun-failed-jobs", needs="actions=write")
def rerun_failed_jobs(github: Any, request: Request) -> Answer:
    run = find_run(request)
    failed = {job.key for job in run.jobs_of(run.attempt) if job.conclusion not in ("success", "skipped")}
    if run.status == "completed" and run.jobs and not failed:
        raise Refusal(403, "This workflow run cannot be retried")
    return _again(github, request, run, failed or None)


def _again(github: Any, request: Request, run: Run, only: set[str] | None) -> Answer:
    if run.status != "completed":
        raise Refusal(403, "This workflow is already running")
    if run.document is None:
        raise Refusal(403, "This workflow run cannot be retried")
    run.attempt, run.status, run.conclusion = run.attempt + 1, "queued", None
    runs.announce(github, request.repository, run, "requested")
    github.runner.take(request.repository, run, only=only)
    return Answer(201, {})
