"""What checks say about a commit, whatever the host answers."""

from typing import Any

import pytest

from apps.projects.forge import base, hosting
from apps.projects.forge.hosting import CheckStatus
from tests.apps.projects.forge.github.scripted import REPOSITORY, SHA, forge_of, said

pytestmark = pytest.mark.unit

CHECKS = f"GET /commits/{SHA}/check-runs"
RUNS = "GET /actions/runs"


def check(conclusion: str | None = "success", **fields: Any) -> dict[str, Any]:
    return {
        "id": 5,
        "name": "check",
        "status": "completed" if conclusion else "in_progress",
        "conclusion": conclusion,
        "details_url": "https://host.example/book-club/book-list/actions/runs/9/job/5",
        **fields,
    }


def checks(*entries: dict[str, Any]) -> Any:
    return said(200, {"total_count": len(entries), "check_runs": list(entries)})


def runs(*entries: dict[str, Any]) -> Any:
    return said(200, {"workflow_runs": [{"head_sha": SHA, "id": 9, **entry} for entry in entries]})


def job(*steps: tuple[str, str | None], conclusion: str = "failure") -> Any:
    made = [
        {"number": number, "name": name, "conclusion": end} for number, (name, end) in enumerate(steps, 1)
    ]
    return said(200, {"id": 5, "run_id": 9, "name": "check", "conclusion": conclusion, "steps": made})


ENDED = said(200, {"id": 9, "status": "completed", "run_attempt": 2})
NO_LOG = {"GET /actions/jobs/5/logs": said(410), "GET /actions/runs/9/logs": said(404)}


def report(answers: dict[str, Any], names: tuple[str, ...] = ("check",)) -> hosting.CheckReport:
    forge, _ = forge_of({"GET /actions/runs/9": ENDED, **NO_LOG, **answers})
    return forge.read_checks(REPOSITORY, sha=SHA, checks=names)


@pytest.mark.parametrize(
    ("conclusion", "status"),
    [
        ("success", CheckStatus.SUCCEEDED),
        (None, CheckStatus.PENDING),
        ("failure", CheckStatus.FAILED),
        ("cancelled", CheckStatus.CANCELED),
        ("timed_out", CheckStatus.TIMED_OUT),
        ("action_required", CheckStatus.ACTION_REQUIRED),
        ("startup_failure", CheckStatus.BROKEN),
        ("stale", CheckStatus.BROKEN),
        ("skipped", CheckStatus.FAILED),
        ("neutral", CheckStatus.FAILED),
        ("a word of tomorrow", CheckStatus.BROKEN),
    ],
)
def test_every_conclusion_has_a_meaning(conclusion, status):
    found = report({CHECKS: checks(check(conclusion)), "GET /actions/jobs/5": job(("Run", "failure"))})

    assert (found.sha, found.status, found.run_id) == (SHA, status, 9)


def test_failure_names_run_attempt_job_and_step():
    steps = (("Set up job", "success"), ("Run make check", "failure"), ("Complete job", "success"))

    found = report({CHECKS: checks(check("failure")), "GET /actions/jobs/5": job(*steps)})

    assert (found.attempt, found.job, found.step) == (2, "check", "Run make check")
    assert found.url.endswith("/actions/runs/9/job/5")


def test_failed_job_without_a_failed_step_is_the_hosts_fault():
    lost = job(("Set up job", "success"), ("Run make check", None))

    assert (
        report({CHECKS: checks(check("failure")), "GET /actions/jobs/5": lost}).status is CheckStatus.BROKEN
    )


def test_timed_out_step_is_the_one_that_was_ended():
    ended = job(("Run make check", "cancelled"), conclusion="timed_out")

    found = report({CHECKS: checks(check("timed_out")), "GET /actions/jobs/5": ended})

    assert (found.status, found.step) == (CheckStatus.TIMED_OUT, "Run make check")


def test_skipped_check_says_that_it_did_not_look():
    found = report({CHECKS: checks(check("skipped")), "GET /actions/jobs/5": job()})

    assert "did not look" in found.excerpt


@pytest.mark.parametrize("status", ["queued", "in_progress", "waiting"])
def test_failure_in_a_run_that_goes_on_is_waited_for(status):
    going_on = said(200, {"id": 9, "status": status, "run_attempt": 2})

    found = report({CHECKS: checks(check("failure")), "GET /actions/runs/9": going_on})

    assert (found.status, found.run_id) == (CheckStatus.PENDING, 9)


def test_worst_check_decides():
    entries = checks(
        check("success"), check("cancelled", id=6), check("failure", id=7, name="lint"), check(None, id=8)
    )

    found = report({CHECKS: entries, "GET /actions/jobs/6": job()}, ("check",))
    worse = report({CHECKS: entries, "GET /actions/jobs/7": job(("x", "failure"))}, ("check", "lint"))

    assert found.status is CheckStatus.CANCELED
    assert worse.status is CheckStatus.FAILED


def test_check_of_another_name_does_not_count():
    found = report({CHECKS: checks(check(name="other")), RUNS: runs()})

    assert found.status is CheckStatus.MISSING


@pytest.mark.parametrize(
    ("entries", "status"),
    [
        ((), CheckStatus.MISSING),
        (({"status": "completed", "conclusion": "success"},), CheckStatus.MISSING),
        (({"status": "queued"},), CheckStatus.PENDING),
        (({"status": "completed", "conclusion": "startup_failure"},), CheckStatus.BROKEN),
        (({"status": "completed", "conclusion": "action_required"},), CheckStatus.ACTION_REQUIRED),
        (({"status": "completed", "conclusion": "cancelled"},), CheckStatus.CANCELED),
        (({"status": "queued", "head_sha": "b" * 40},), CheckStatus.MISSING),
    ],
)
def test_missing_check_is_explained_by_the_runs_of_the_commit(entries, status):
    assert report({CHECKS: checks(), RUNS: runs(*entries)}).status is status


def test_one_missing_of_two_keeps_the_other_from_passing():
    names = ("check", "lint")

    waiting = report({CHECKS: checks(check(None)), RUNS: runs()}, names)
    passed = report({CHECKS: checks(check("success")), RUNS: runs()}, names)

    assert (waiting.status, passed.status) == (CheckStatus.PENDING, CheckStatus.MISSING)


def test_check_of_another_app_speaks_for_itself():
    foreign = check(
        "failure", details_url="https://ci.example/7", output={"title": "2 failed", "summary": "test_books"}
    )

    found = report({CHECKS: checks(foreign)})

    assert (found.status, found.run_id) == (CheckStatus.FAILED, None)
    assert found.excerpt == "2 failed\ntest_books"


def test_no_required_checks_are_missing_checks():
    assert report({CHECKS: checks(check())}, ()).status is CheckStatus.MISSING


def test_unknown_commit_is_not_found():
    with pytest.raises(base.CommitNotFound):
        report({CHECKS: said(404), "GET ": said(200, {"id": 77})})


@pytest.mark.parametrize("status", [403, 409])
def test_rerun_of_a_run_at_work_is_success(status):
    refused = {"message": "The workflow run containing this job is already running"}
    forge, _ = forge_of(
        {
            "POST /actions/runs/9/rerun-failed-jobs": said(status, refused),
            "GET /actions/runs/9": said(200, {"status": "in_progress"}),
        }
    )

    assert forge.rerun(REPOSITORY, 9) is None


def test_rerun_that_the_host_refuses_is_told():
    answers = {"POST /actions/runs/9/rerun-failed-jobs": said(403, {"message": "It is too old"})}
    forge, _ = forge_of({**answers, "GET /actions/runs/9": ENDED})

    with pytest.raises(hosting.ForgeForbidden) as refused:
        forge.rerun(REPOSITORY, 9)

    assert "too old" in refused.value.message
