"""Workflow runs: started once, found by the id that went in, read, cancelled."""

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from apps.errors import OrchestratorError
from apps.projects.forge import base, hosting
from apps.projects.forge.github import errors, jobs
from apps.projects.forge.github.jobs import JobVerbs
from apps.projects.forge.github.transport import Answer, Request, segment
from apps.projects.forge.hosting import RunStatus

_WRITE: Final[Mapping[str, str]] = {"actions": "write"}
#: The newest runs of one workflow that are looked through for a correlation id.
_LOOKED_THROUGH: Final = 300
#: The parameter by which newer hosts return the run's id; older ones refuse it.
_DETAILS: Final = "return_run_details"
_CONCLUSIONS: Final[Mapping[str, RunStatus]] = {
    "success": RunStatus.SUCCEEDED,
    "failure": RunStatus.FAILED,
    "skipped": RunStatus.FAILED,
    "neutral": RunStatus.FAILED,
    "cancelled": RunStatus.CANCELED,
    "timed_out": RunStatus.TIMED_OUT,
    "action_required": RunStatus.ACTION_REQUIRED,
}


class WorkflowVerbs(JobVerbs):
    """The verbs of workflow runs."""

    def dispatch(self, repository: base.Repository, spec: hosting.DispatchSpec) -> int | None:
        """See `Hosting.dispatch`.

        Raises:
            BranchNotFound: there is no such ref.
            ForgeRefused: the workflow does not take these inputs.

        """
        is_told = not self._client.remembered.is_noted(_DETAILS)
        answer = self._dispatch(repository, spec, is_told=is_told)
        if is_told and answer.status in (400, 422) and _DETAILS in errors.words_of(answer):
            self._client.remembered.note(_DETAILS)
            answer = self._dispatch(repository, spec, is_told=False)
        if answer.status >= 400:
            raise _why_not_dispatched(answer, spec)
        run_id = answer.data.get("workflow_run_id") if isinstance(answer.data, dict) else None
        return int(run_id) if isinstance(run_id, int) else None

    def find_run(
        self, repository: base.Repository, *, workflow: str, correlation: str
    ) -> hosting.WorkflowRun | None:
        """See `Hosting.find_run`.

        Raises:
            WorkflowNotFound: there is no such workflow.

        """
        entries = self._pages(
            repository,
            f"/actions/workflows/{segment(workflow)}/runs",
            permissions=jobs.READ,
            key="workflow_runs",
            parameters={"event": "workflow_dispatch"},
            absent=hosting.WorkflowNotFound,
        )
        for entry in islice(entries, _LOOKED_THROUGH):
            if any(correlation in str(entry.get(key) or "") for key in ("display_title", "name")):
                return _run(entry)
        return None

    def read_run(self, repository: base.Repository, run_id: int) -> hosting.WorkflowRun:
        """See `Hosting.read_run`."""
        answer = self._ask(
            repository,
            Request("GET", f"/actions/runs/{run_id}"),
            permissions=jobs.READ,
            absent=hosting.RunNotFound,
            conditional=True,
        )
        return _run(answer.mapping)

    def read_log(self, repository: base.Repository, run_id: int, *, limit: int) -> hosting.RunLog | None:
        """See `Hosting.read_log`."""
        job = self._failed_job(repository, run_id)
        return None if job is None else self._run_log(repository, run_id, job, limit=limit)

    def cancel_run(self, repository: base.Repository, run_id: int) -> None:
        """See `Hosting.cancel_run`."""
        self._ask(
            repository,
            Request("POST", f"/actions/runs/{run_id}/cancel"),
            permissions=_WRITE,
            absent=hosting.RunNotFound,
            accept=(409,),  # it has ended
        )

    def _dispatch(self, repository: base.Repository, spec: hosting.DispatchSpec, *, is_told: bool) -> Answer:
        inputs = {**spec.inputs, "correlation": spec.correlation}
        body = {"ref": spec.ref, "inputs": inputs, **({_DETAILS: True} if is_told else {})}
        return self._ask(
            repository,
            Request("POST", f"/actions/workflows/{segment(spec.workflow)}/dispatches", body=body),
            permissions=_WRITE,
            absent=hosting.WorkflowNotFound,
            accept=(400, 422),
        )


def _why_not_dispatched(answer: Answer, spec: hosting.DispatchSpec) -> OrchestratorError:
    words = errors.words_of(answer)
    if "workflow_dispatch" in words or "disabled workflow" in words.lower():
        return hosting.WorkflowNotFound(
            f"The workflow {spec.workflow} cannot be started by us: {words}",
            details={"workflow": spec.workflow, "words": words},
        )
    if "no ref found" in words.lower():
        return base.BranchNotFound(details={"branch": spec.ref})
    return errors.error_of(answer)


def _run(data: Mapping[str, Any]) -> hosting.WorkflowRun:
    conclusion = str(data.get("conclusion") or "")[:40]
    try:
        return hosting.WorkflowRun(
            id=int(data["id"]),
            status=_status(str(data.get("status")), conclusion),
            head_sha=str(data["head_sha"]),
            url=str(data["html_url"])[:500],
            attempt=int(data.get("run_attempt") or 1),
            conclusion=conclusion,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise base.ForgeUnavailable("GitHub's workflow run has another form than expected") from error


def _status(status: str, conclusion: str) -> RunStatus:
    if status == "completed":
        return _CONCLUSIONS.get(conclusion, RunStatus.BROKEN)
    return RunStatus.RUNNING if status == "in_progress" else RunStatus.QUEUED
