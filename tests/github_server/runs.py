"""Workflow runs: their creation, and how answers and webhooks show them."""

from dataclasses import dataclass, field
from typing import Any

from tests.github_server import expressions, git_store, workflow
from tests.github_server.state import JobState, Repository, Run
from tests.github_server.wire import now


@dataclass
class Start:
    """Why and on what a workflow starts."""

    event: str
    path: str
    head_branch: str
    head_sha: str
    sha: str
    ref: str
    inputs: dict[str, str] = field(default_factory=dict)
    pulls: tuple[int, ...] = ()


def complain(github: Any, path: str, error: workflow.WorkflowInvalid) -> str:
    """Note what is wrong with a file; what only this double cannot do fails the test at its end."""
    words = f"{path}: {error}"
    if isinstance(error, workflow.WorkflowUnsupported):
        github.complaints.append(words)
    return words


def start(github: Any, repository: Repository, spec: Start, document: Any, complaint: str = "") -> Run:
    """Make a run and hand it to the runner."""
    repository.workflow_ids.setdefault(spec.path, github.next_id())
    same = [run for run in repository.runs if run.path == spec.path]
    run = Run(
        id=github.next_id(),
        number=len(same) + 1,
        path=spec.path,
        name=document.name if document else spec.path,
        title="",
        event=spec.event,
        head_branch=spec.head_branch,
        head_sha=spec.head_sha,
        sha=spec.sha,
        ref=spec.ref,
        document=document,
        suite_id=github.next_id(),
        inputs=spec.inputs,
        pulls=spec.pulls,
        complaint=complaint,
    )
    run.title = _title(github, repository, run)
    repository.runs.append(run)
    announce(github, repository, run, "requested")
    github.runner.take(repository, run)
    return run


def _title(github: Any, repository: Repository, run: Run) -> str:
    named = run.document.document.get("run-name") if run.document else None
    if named:
        return expressions.fill(
            named, {"github": github_context(github, repository, run), "inputs": run.inputs}
        )
    if run.event == "workflow_dispatch":
        return run.name
    pull = repository.pull(run.pulls[0]) if run.pulls else None
    return pull.title if pull else git_store.text(repository.path, "log", "-1", "--format=%s", run.head_sha)


def github_context(github: Any, repository: Repository, run: Run) -> dict[str, Any]:
    """Return what `github.*` is in expressions."""
    pull = repository.pull(run.pulls[0]) if run.pulls else None
    return {
        "actor": f"{github.app.slug}[bot]",
        "api_url": github.url,
        "base_ref": pull.base if pull else "",
        "event_name": run.event,
        "event": event_of(repository, run),
        "head_ref": pull.head if pull else "",
        "ref": run.ref,
        "ref_name": run.ref.removeprefix("refs/heads/").removeprefix("refs/pull/"),
        "ref_type": "branch",
        "repository": repository.full_name,
        "repository_id": str(repository.id),
        "repository_owner": repository.owner,
        "run_attempt": str(run.attempt),
        "run_id": str(run.id),
        "run_number": str(run.number),
        "server_url": github.base_url,
        "sha": run.sha,
        "workflow": run.name,
    }


def event_of(repository: Repository, run: Run) -> dict[str, Any]:
    """Return the event that started a run, as far as anybody here looks into it."""
    pull = repository.pull(run.pulls[0]) if run.pulls else None
    if pull is None:
        words = {
            key: str(value).lower() if value in (True, False) else value for key, value in run.inputs.items()
        }
        return {"inputs": words, "ref": run.ref, "after": run.sha}
    ends = {"head": {"ref": pull.head, "sha": run.head_sha}, "base": {"ref": pull.base, "sha": pull.base_sha}}
    return {"number": pull.number, "pull_request": {"number": pull.number, "title": pull.title, **ends}}


def announce(github: Any, repository: Repository, run: Run, action: str) -> None:
    """Call the hooks about a run."""
    run.updated_at = now()
    payload = {"action": action, "workflow_run": show(github.base_url, repository, run)}
    github.webhooks.send("workflow_run", payload, repository)


def show(base_url: str, repository: Repository, run: Run) -> dict[str, Any]:
    api = f"{base_url}/api/v3/repos/{repository.full_name}"
    url = f"{api}/actions/runs/{run.id}"
    return {
        "id": run.id,
        "name": run.name,
        "node_id": f"WFR_{run.id}",
        "display_title": run.title,
        "path": f"{run.path}@{run.ref}" if run.event == "workflow_dispatch" else run.path,
        "run_number": run.number,
        "run_attempt": run.attempt,
        "event": run.event,
        "status": run.status,
        "conclusion": run.conclusion,
        "head_branch": run.head_branch,
        "head_sha": run.head_sha,
        "workflow_id": repository.workflow_ids[run.path],
        "check_suite_id": run.suite_id,
        "url": url,
        "html_url": f"{base_url}/{repository.full_name}/actions/runs/{run.id}",
        "jobs_url": f"{url}/jobs",
        "logs_url": f"{url}/logs",
        "artifacts_url": f"{url}/artifacts",
        "cancel_url": f"{url}/cancel",
        "rerun_url": f"{url}/rerun",
        "check_suite_url": f"{api}/check-suites/{run.suite_id}",
        "workflow_url": f"{api}/actions/workflows/{repository.workflow_ids[run.path]}",
        "previous_attempt_url": f"{url}/attempts/{run.attempt - 1}" if run.attempt > 1 else None,
        "pull_requests": [{"number": number, "url": f"{api}/pulls/{number}"} for number in run.pulls],
        "created_at": run.created_at,
        "run_started_at": run.created_at,
        "updated_at": run.updated_at,
    }


def show_job(base_url: str, repository: Repository, run: Run, job: JobState) -> dict[str, Any]:
    api = f"{base_url}/api/v3/repos/{repository.full_name}"
    return {
        "id": job.id,
        "run_id": run.id,
        "run_attempt": job.attempt,
        "name": job.name,
        "workflow_name": run.name,
        "head_branch": run.head_branch,
        "head_sha": job.head_sha,
        "status": job.status,
        "conclusion": job.conclusion,
        "started_at": job.started_at,
        "completed_at": job.completed_at,
        "url": f"{api}/actions/jobs/{job.id}",
        "run_url": f"{api}/actions/runs/{run.id}",
        "html_url": f"{base_url}/{repository.full_name}/actions/runs/{run.id}/job/{job.id}",
        "check_run_url": f"{api}/check-runs/{job.id}",
        "labels": ["ubuntu-latest"],
        "runner_name": "GitHub Actions 1",
        "steps": [
            {
                "number": step.number,
                "name": step.name,
                "status": step.status,
                "conclusion": step.conclusion,
                "started_at": step.started_at,
                "completed_at": step.completed_at,
            }
            for step in job.steps
        ],
    }


def show_check(github: Any, repository: Repository, run: Run, job: JobState) -> dict[str, Any]:
    """Return the check run that a job is."""
    job_view = show_job(github.base_url, repository, run, job)
    keys = ("id", "name", "head_sha", "status", "conclusion", "started_at", "completed_at", "html_url")
    return {key: job_view[key] for key in keys} | {
        "url": job_view["check_run_url"],
        "details_url": job_view["html_url"],
        "external_id": f"job-{job.id}",
        "check_suite": {"id": run.suite_id},
        "app": {"id": 15368, "slug": "github-actions", "name": "GitHub Actions"},
        "output": {"title": None, "summary": None, "text": None, "annotations_count": 0},
        "pull_requests": [{"number": number} for number in run.pulls],
    }
