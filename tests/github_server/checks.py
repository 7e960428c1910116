"""Endpoints of check runs, check suites and commit statuses."""

from typing import Any

from tests.github_server import check_state, git_store, runs
from tests.github_server.routing import route
from tests.github_server.state import JobState, Repository, Run, Status
from tests.github_server.wire import Answer, Refusal, Request, invalid, not_found, page


def _commit(request: Request) -> str:
    sha = git_store.resolve(request.repository.path, request.params["ref"])
    if sha is None:
        raise Refusal(422, f"No commit found for SHA: {request.params['ref']}")
    return sha


def _jobs(repository: Repository, sha: str) -> list[tuple[Run, JobState]]:
    return [(run, job) for run in check_state.runs_of(repository, sha) for job in run.jobs_of(run.attempt)]


@route("GET", "/repos/{owner}/{repo}/commits/{ref}/check-runs", needs="checks=read")
def list_check_runs(github: Any, request: Request) -> Answer:
    found = _jobs(request.repository, _commit(request))
    name, status, app = (request.query.get(key) for key in ("check_name", "status", "app_id"))
    shown = [
        runs.show_check(github, request.repository, run, job)
        for run, job in sorted(found, key=lambda item: -item[1].id)
        if name in (None, job.name) and status in (None, job.status) and app in (None, "15368")
    ]
    if request.query.get("filter") != "all":
        # The newest of each name in each suite.
        newest: dict[tuple[int, str], dict[str, Any]] = {}
        for check in shown:
            newest.setdefault((check["check_suite"]["id"], check["name"]), check)
        shown = list(newest.values())
    return page(request, shown, "check_runs")


@route("GET", "/repos/{owner}/{repo}/check-runs/{id}", needs="checks=read")
def read_check_run(github: Any, request: Request) -> Answer:
    wanted = request.number("id")
    for run in request.repository.runs:
        for job in run.jobs:
            if job.id == wanted:
                return Answer(200, runs.show_check(github, request.repository, run, job))
    raise not_found()


@route("GET", "/repos/{owner}/{repo}/check-runs/{id}/annotations", needs="checks=read")
def list_annotations(github: Any, request: Request) -> Answer:
    read_check_run(github, request)
    return page(request, [])


def _show_suite(request: Request, run: Run) -> dict[str, Any]:
    url = f"{request.url}/repos/{request.repository.full_name}/check-suites/{run.suite_id}"
    return {
        "id": run.suite_id,
        "head_branch": run.head_branch,
        "head_sha": run.head_sha,
        "status": run.status,
        "conclusion": run.conclusion,
        "url": url,
        "check_runs_url": f"{url}/check-runs",
        "app": {"id": 15368, "slug": "github-actions", "name": "GitHub Actions"},
        "latest_check_runs_count": len(run.jobs_of(run.attempt)),
        "pull_requests": [{"number": number} for number in run.pulls],
        "created_at": run.created_at,
        "updated_at": run.updated_at,
    }


@route("GET", "/repos/{owner}/{repo}/commits/{ref}/check-suites", needs="checks=read")
def list_check_suites(github: Any, request: Request) -> Answer:
    found = check_state.runs_of(request.repository, _commit(request))
    return page(request, [_show_suite(request, run) for run in found], "check_suites")


@route("GET", "/repos/{owner}/{repo}/check-suites/{id}", needs="checks=read")
def read_check_suite(github: Any, request: Request) -> Answer:
    for run in request.repository.runs:
        if run.suite_id == request.number("id"):
            return Answer(200, _show_suite(request, run))
    raise not_found()


@route("GET", "/repos/{owner}/{repo}/check-suites/{id}/check-runs", needs="checks=read")
def list_suite_check_runs(github: Any, request: Request) -> Answer:
    for run in request.repository.runs:
        if run.suite_id == request.number("id"):
            found = [
                runs.show_check(github, request.repository, run, job) for job in run.jobs_of(run.attempt)
            ]
            return page(request, found, "check_runs")
    raise not_found()


# --- Statuses ---------------------------------------------------------------


def _show_status(request: Request, status: Status) -> dict[str, Any]:
    return {
        "id": status.id,
        "state": status.state,
        "context": status.context,
        "description": status.description,
        "target_url": status.target_url,
        "created_at": status.created_at,
        "updated_at": status.created_at,
        "url": f"{request.url}/repos/{request.repository.full_name}/statuses/{status.sha}",
    }


@route("GET", "/repos/{owner}/{repo}/commits/{ref}/statuses", needs="statuses=read")
def list_statuses(github: Any, request: Request) -> Answer:
    sha = _commit(request)
    found = [status for status in reversed(request.repository.statuses) if status.sha == sha]
    return page(request, [_show_status(request, status) for status in found])


@route("GET", "/repos/{owner}/{repo}/commits/{ref}/status", needs="statuses=read")
def read_combined_status(github: Any, request: Request) -> Answer:
    sha = _commit(request)
    newest = {status.context: status for status in request.repository.statuses if status.sha == sha}
    states = {status.state for status in newest.values()}
    failed = "failure" if states & {"failure", "error"} else "pending"
    state = "success" if states == {"success"} else failed
    shown = [_show_status(request, status) for status in newest.values()]
    return Answer(200, {"state": state, "sha": sha, "total_count": len(shown), "statuses": shown})


@route("POST", "/repos/{owner}/{repo}/statuses/{ref}", needs="statuses=write")
def create_status(github: Any, request: Request) -> Answer:
    body = request.fields("Status", state=str)
    if body["state"] not in ("error", "failure", "pending", "success"):
        raise invalid("Status", "state")
    status = Status(
        id=github.next_id(),
        sha=_commit(request),
        context=body.get("context", "default"),
        state=body["state"],
        description=body.get("description") or "",
        target_url=body.get("target_url") or "",
    )
    request.repository.statuses.append(status)
    return Answer(201, _show_status(request, status))
