"""Runs of workflows: started once and found again, on newer hosts and on older ones."""

from typing import Any

import pytest

from apps.projects.forge import base, hosting
from apps.projects.forge.hosting import DispatchSpec, RunStatus
from tests.apps.projects.forge.github.scripted import REPOSITORY, SHA, forge_of, said

pytestmark = pytest.mark.unit

DISPATCH = "POST /actions/workflows/main.yml/dispatches"
RUNS = "GET /actions/workflows/main.yml/runs"
SPEC = DispatchSpec(workflow="main.yml", ref="main", correlation="c-1", inputs={"sha": SHA})
THERE = {"GET ": said(200, {"id": 77})}


def run(**fields: Any) -> dict[str, Any]:
    return {"id": 9, "status": "queued", "head_sha": SHA, "html_url": "https://host.example/9", **fields}


def test_dispatch_hands_over_the_correlation_and_returns_the_run():
    forge, transport = forge_of(
        {DISPATCH: said(200, {"workflow_run_id": 9, "run_url": "x", "html_url": "y"})}
    )

    assert forge.dispatch(REPOSITORY, SPEC) == 9
    assert transport.asked[0].body == {
        "ref": "main",
        "inputs": {"sha": SHA, "correlation": "c-1"},
        "return_run_details": True,
    }


@pytest.mark.parametrize("status", [400, 422])
def test_older_host_is_asked_without_what_it_does_not_know_and_that_is_remembered(status):
    unknown = {"message": 'Invalid request.\n\n"return_run_details" is not a permitted key.'}
    forge, transport = forge_of({DISPATCH: [said(status, unknown), said(204), said(204)]})

    assert forge.dispatch(REPOSITORY, SPEC) is None
    assert forge.dispatch(REPOSITORY, SPEC) is None
    bodies = [request.body for request in transport.asked]
    assert ["return_run_details" in body for body in bodies] == [True, False, False]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (said(404), hosting.WorkflowNotFound),
        (
            said(422, {"message": "Workflow does not have 'workflow_dispatch' trigger"}),
            hosting.WorkflowNotFound,
        ),
        (said(422, {"message": "Cannot trigger on a disabled workflow"}), hosting.WorkflowNotFound),
        (said(422, {"message": "No ref found for: main"}), base.BranchNotFound),
        (said(422, {"message": 'Unexpected inputs provided: ["sha"]'}), hosting.ForgeRefused),
        (said(403, {"message": "No"}), hosting.ForgeForbidden),
        (said(500), base.ForgeUnavailable),
    ],
)
def test_refused_dispatch_says_why(answer, kind):
    forge, transport = forge_of({DISPATCH: answer, **THERE})

    with pytest.raises(kind):
        forge.dispatch(REPOSITORY, SPEC)

    assert [request.method for request in transport.asked].count("POST") == 1


def test_run_is_found_by_its_correlation_alone():
    entries = [
        run(id=1, display_title="Deploy c-2", name="Deploy"),
        run(id=2, display_title="Deploy (c-1)", name="Deploy"),
        run(id=3, display_title=None, name="Deploy c-3"),
    ]
    forge, _ = forge_of({RUNS: said(200, {"workflow_runs": entries})})

    def found(correlation: str) -> int | None:
        known = forge.find_run(REPOSITORY, workflow="main.yml", correlation=correlation)
        return known and known.id

    assert (found("c-1"), found("c-3"), found("c-4")) == (2, 3, None)


def test_search_for_a_run_is_bounded():
    link = '<https://host.example/api/v3/next>; rel="next"'
    full = said(200, {"workflow_runs": [run()] * 100}, link=link)
    forge, transport = forge_of({RUNS: full, "GET https://host.example/api/v3/next": full})

    assert forge.find_run(REPOSITORY, workflow="main.yml", correlation="c-1") is None
    assert len(transport.asked) == 3


@pytest.mark.parametrize(
    ("status", "conclusion", "meaning"),
    [
        ("queued", None, RunStatus.QUEUED),
        ("waiting", None, RunStatus.QUEUED),
        ("pending", None, RunStatus.QUEUED),
        ("in_progress", None, RunStatus.RUNNING),
        ("completed", "success", RunStatus.SUCCEEDED),
        ("completed", "failure", RunStatus.FAILED),
        ("completed", "skipped", RunStatus.FAILED),
        ("completed", "cancelled", RunStatus.CANCELED),
        ("completed", "timed_out", RunStatus.TIMED_OUT),
        ("completed", "action_required", RunStatus.ACTION_REQUIRED),
        ("completed", "startup_failure", RunStatus.BROKEN),
        ("completed", "a word of tomorrow", RunStatus.BROKEN),
    ],
)
def test_every_state_of_a_run_has_a_meaning(status, conclusion, meaning):
    forge, _ = forge_of({"GET /actions/runs/9": said(200, run(status=status, conclusion=conclusion))})

    read = forge.read_run(REPOSITORY, 9)

    assert (read.status, read.head_sha, read.conclusion) == (meaning, SHA, conclusion or "")


def test_run_that_ended_is_canceled_already():
    forge, _ = forge_of({"POST /actions/runs/9/cancel": said(409, {"message": "completed"})})

    assert forge.cancel_run(REPOSITORY, 9) is None


@pytest.mark.parametrize("verb", ["read_run", "cancel_run", "rerun"])
def test_absent_run_is_not_found(verb):
    gone = {
        "GET /actions/runs/9": said(404),
        "POST /actions/runs/9/cancel": said(404),
        "POST /actions/runs/9/rerun-failed-jobs": said(404),
    }
    forge, _ = forge_of({**gone, **THERE})

    with pytest.raises(hosting.RunNotFound):
        getattr(forge, verb)(REPOSITORY, 9)


def test_run_without_a_failed_step_has_no_log():
    jobs = [{"id": 5, "name": "deploy", "conclusion": "success", "steps": [{"conclusion": "success"}]}]
    forge, _ = forge_of({"GET /actions/runs/9/jobs": said(200, {"jobs": jobs})})

    assert forge.read_log(REPOSITORY, 9, limit=1_000) is None


def test_log_that_is_kept_no_more_still_names_the_step():
    steps = [{"number": 3, "name": "Release", "conclusion": "failure"}]
    forge, _ = forge_of(
        {
            "GET /actions/runs/9/jobs": said(200, {"jobs": [{"id": 5, "name": "deploy", "steps": steps}]}),
            "GET /actions/jobs/5/logs": said(410),
            "GET /actions/runs/9/logs": said(410),
            **THERE,
        }
    )

    log = forge.read_log(REPOSITORY, 9, limit=1_000)

    assert log == hosting.RunLog(job="deploy", step="Release", excerpt="")


@pytest.mark.parametrize("address", ["", "file:///etc/passwd", "ftp://x"])
def test_log_is_fetched_from_the_web_alone(address):
    steps = [{"number": 3, "name": "Release", "conclusion": "failure"}]
    forge, _ = forge_of(
        {
            "GET /actions/runs/9/jobs": said(200, {"jobs": [{"id": 5, "name": "deploy", "steps": steps}]}),
            "GET /actions/jobs/5/logs": said(302, None, location=address),
        }
    )

    with pytest.raises(base.ForgeUnavailable):
        forge.read_log(REPOSITORY, 9, limit=1_000)
