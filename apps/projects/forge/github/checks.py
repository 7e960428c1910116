"""What the required checks say about exactly one commit: the worst of them decides.

Only ``success`` is a pass: a check that was skipped or was neutral did not look.
A failed job without a failed step is the host's fault: its runner was lost.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from apps.projects.forge import base, hosting
from apps.projects.forge.github import errors, jobs
from apps.projects.forge.github.jobs import JobVerbs
from apps.projects.forge.github.transport import Request
from apps.projects.forge.hosting import CheckReport, CheckStatus
from apps.projects.git_names import check_sha

_READ: Final[Mapping[str, str]] = {"actions": "read", "checks": "read"}
_EXCERPT_BYTES: Final = 8_000
_RUN = re.compile(r"/actions/runs/(\d+)")
CONCLUSIONS: Final[Mapping[str, CheckStatus]] = {
    "success": CheckStatus.SUCCEEDED,
    "failure": CheckStatus.FAILED,
    "skipped": CheckStatus.FAILED,
    "neutral": CheckStatus.FAILED,
    "cancelled": CheckStatus.CANCELED,
    "timed_out": CheckStatus.TIMED_OUT,
    "action_required": CheckStatus.ACTION_REQUIRED,
    "startup_failure": CheckStatus.BROKEN,
    "stale": CheckStatus.BROKEN,
}
#: From the worst to the best. Missing is better than pending: it has a shorter patience.
_WORST_FIRST: Final = (
    CheckStatus.FAILED,
    CheckStatus.ACTION_REQUIRED,
    CheckStatus.TIMED_OUT,
    CheckStatus.BROKEN,
    CheckStatus.CANCELED,
    CheckStatus.PENDING,
    CheckStatus.MISSING,
    CheckStatus.SUCCEEDED,
)
_WITH_LOG: Final = (CheckStatus.FAILED, CheckStatus.TIMED_OUT)
#: How a run ends that never made the checks it was meant to make.
_WITHOUT_CHECKS: Final = ("startup_failure", "action_required", "cancelled", "timed_out")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """One check run as the host shows it."""

    id: int
    status: CheckStatus
    conclusion: str
    run_id: int | None
    url: str
    words: str  # what a check of another app says about itself


class CheckVerbs(JobVerbs):
    """`Hosting.read_checks` and `Hosting.rerun`."""

    def read_checks(
        self, repository: base.Repository, *, sha: str, checks: tuple[str, ...]
    ) -> hosting.CheckReport:
        """See `Hosting.read_checks`."""
        entries = self._pages(
            repository,
            f"/commits/{check_sha(sha)}/check-runs",
            permissions=_READ,
            key="check_runs",
            parameters={"filter": "latest"},
            absent=base.CommitNotFound,
            conditional=True,
        )
        found = [(str(entry.get("name")), _found(entry)) for entry in entries]
        wanted = [check for name, check in found if name in checks]
        report = self._without_checks(repository, sha) if set(checks) - {n for n, _ in found} else None
        worst = min(wanted, key=lambda check: _WORST_FIRST.index(check.status), default=None)
        if worst is None or (report is not None and _is_worse(report.status, worst.status)):
            return report or CheckReport(sha=sha, status=CheckStatus.MISSING)
        return self._report(repository, sha, worst)

    def rerun(self, repository: base.Repository, run_id: int) -> None:
        """See `Hosting.rerun`; one that runs already is left alone."""
        path = f"/actions/runs/{run_id}"
        answer = self._ask(
            repository,
            Request("POST", f"{path}/rerun-failed-jobs"),
            permissions={"actions": "write"},
            absent=hosting.RunNotFound,
            accept=(403, 409),
        )
        if answer.status in (403, 409):
            run = self._ask(
                repository, Request("GET", path), permissions=jobs.READ, absent=hosting.RunNotFound
            )
            if run.mapping.get("status") == "completed":
                raise errors.error_of(answer)

    def _without_checks(self, repository: base.Repository, sha: str) -> CheckReport:
        """Return what the runs of a commit say that has not all its checks."""
        entries = self._pages(
            repository,
            "/actions/runs",
            permissions=jobs.READ,
            key="workflow_runs",
            parameters={"head_sha": sha},
            conditional=True,
        )
        reports = [_report_of_run(sha, entry) for entry in entries if entry.get("head_sha") == sha]
        missing = CheckReport(sha=sha, status=CheckStatus.MISSING)
        return min([*reports, missing], key=lambda report: _WORST_FIRST.index(report.status))

    def _report(self, repository: base.Repository, sha: str, check: _Found) -> CheckReport:
        report = CheckReport(sha=sha, status=check.status, run_id=check.run_id, url=check.url)
        if check.status in (CheckStatus.SUCCEEDED, CheckStatus.PENDING) or check.run_id is None:
            return replace(report, excerpt="" if check.status is CheckStatus.SUCCEEDED else check.words)
        run = self._ask(
            repository,
            Request("GET", f"/actions/runs/{check.run_id}"),
            permissions=jobs.READ,
            absent=hosting.RunNotFound,
            conditional=True,
        ).mapping
        if run.get("status") != "completed":  # other jobs of it go on, or it was just started again
            return replace(report, status=CheckStatus.PENDING)
        report = replace(report, attempt=int(run.get("run_attempt") or 1))
        job = self._job(repository, check.id)
        if job is None or check.status not in _WITH_LOG:
            return replace(report, excerpt=check.words)
        return self._with_log(repository, report, job, check)

    def _with_log(
        self, repository: base.Repository, report: CheckReport, job: Mapping[str, Any], check: _Found
    ) -> CheckReport:
        name = str(job.get("name", ""))[:200]
        if check.conclusion in ("skipped", "neutral"):
            return replace(
                report, job=name, excerpt=f"The check ended as {check.conclusion}: it did not look."
            )
        log = self._run_log(repository, report.run_id or 0, job, limit=_EXCERPT_BYTES)
        if log is None:
            broken = CheckStatus.BROKEN if check.status is CheckStatus.FAILED else check.status
            return replace(report, status=broken, job=name)
        return replace(report, job=log.job, step=log.step, excerpt=log.excerpt)


def _is_worse(one: CheckStatus, other: CheckStatus) -> bool:
    return _WORST_FIRST.index(one) < _WORST_FIRST.index(other)


def _found(entry: Mapping[str, Any]) -> _Found:
    url = str(entry.get("details_url") or entry.get("html_url") or "")[:500]
    run = _RUN.search(url)
    conclusion = str(entry.get("conclusion") or "")
    output = entry.get("output")
    said = output if isinstance(output, dict) else {}
    try:
        return _Found(
            id=int(entry["id"]),
            status=_status(str(entry.get("status")), conclusion),
            conclusion=conclusion,
            run_id=int(run[1]) if run else None,
            url=url,
            words="\n".join(str(said[key]) for key in ("title", "summary") if said.get(key))[:_EXCERPT_BYTES],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise base.ForgeUnavailable("GitHub's check has another form than expected") from error


def _status(status: str, conclusion: str) -> CheckStatus:
    if status != "completed":
        return CheckStatus.PENDING
    return CONCLUSIONS.get(conclusion, CheckStatus.BROKEN)


def _report_of_run(sha: str, run: Mapping[str, Any]) -> CheckReport:
    conclusion = str(run.get("conclusion") or "")
    status = CheckStatus.MISSING
    if run.get("status") != "completed":
        status = CheckStatus.PENDING
    elif conclusion in _WITHOUT_CHECKS:
        status = CONCLUSIONS[conclusion]
    return CheckReport(
        sha=sha,
        status=status,
        run_id=int(run.get("id") or 0) or None,
        attempt=int(run.get("run_attempt") or 1),
        url=str(run.get("html_url") or "")[:500],
    )
