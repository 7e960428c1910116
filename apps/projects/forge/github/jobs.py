"""Jobs of workflow runs: which one failed, at which step, and what it printed."""

from collections.abc import Mapping
from typing import Any, Final

from apps.projects.forge import base, hosting
from apps.projects.forge.github import logs
from apps.projects.forge.github.client import Verbs
from apps.projects.forge.github.transport import Request

READ: Final[Mapping[str, str]] = {"actions": "read"}
_FAILED: Final = ("failure", "timed_out")
_GONE: Final = (404, 410)


class JobVerbs(Verbs):
    """What `checks` and `workflows` ask about jobs."""

    def _job(self, repository: base.Repository, job_id: int) -> Mapping[str, Any] | None:
        """Return a job, or None: a check of another app is no job."""
        request = Request("GET", f"/actions/jobs/{job_id}")
        answer = self._ask(repository, request, permissions=READ, conditional=True, accept=(404,))
        return None if answer.status == 404 else answer.mapping

    def _failed_job(self, repository: base.Repository, run_id: int) -> Mapping[str, Any] | None:
        """Return the first job of a run's newest attempt that has a failed step."""
        jobs = self._pages(
            repository,
            f"/actions/runs/{run_id}/jobs",
            permissions=READ,
            key="jobs",
            parameters={"filter": "latest"},
            absent=hosting.RunNotFound,
        )
        return next((job for job in jobs if failed_step(job) is not None), None)

    def _run_log(
        self, repository: base.Repository, run_id: int, job: Mapping[str, Any], *, limit: int
    ) -> hosting.RunLog | None:
        """Return the end of what a job's failed step printed; None when no step failed."""
        step = failed_step(job)
        if step is None:
            return None
        name = str(job.get("name", ""))[:200]
        address = self._log_address(repository, f"/actions/jobs/{int(job['id'])}/logs")
        if address is None:
            address = self._log_address(repository, f"/actions/runs/{run_id}/logs")
        excerpt = "" if address is None else _excerpt(address, name, step, limit)
        return hosting.RunLog(job=name, step=str(step.get("name", ""))[:200], excerpt=excerpt)

    def _log_address(self, repository: base.Repository, path: str) -> str | None:
        """Return where a log may be fetched from for a minute, or None when it is kept no more."""
        answer = self._ask(repository, Request("GET", path), permissions=READ, accept=(302, *_GONE))
        if answer.status in _GONE:
            return None
        address = answer.headers.get("location", "")
        if not address.startswith(("https://", "http://")):
            raise base.ForgeUnavailable("GitHub does not say where the log is")
        return address


def _excerpt(address: str, job: str, step: Mapping[str, Any], limit: int) -> str:
    try:
        with (
            logs.downloaded(address) as file,
            logs.opened_log(file, job=job, step=int(step.get("number") or 0)) as text,
        ):
            return logs.excerpt_of(logs.lines_of(text), logs.window_of(step), limit=limit)
    except logs.LogUnusable as error:
        # The outcome stands without its words.
        return f"({error.message})"


def failed_step(job: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the step that decided a job's failure, or None when none did: then the host broke it."""
    steps = [step for step in job.get("steps") or () if isinstance(step, dict)]
    failed = [step for step in steps if step.get("conclusion") in _FAILED]
    if not failed and job.get("conclusion") == "timed_out":
        failed = [step for step in steps if step.get("conclusion") == "cancelled"]
    return failed[0] if failed else None
