"""Workflow runs: dispatched, canceled, out of time, waiting for one another, run again."""

import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.github_server.dispatching import BOOKS, HEAD, dispatch, log_of, run_of
from tests.github_server.visitor import Visitor
from tests.github_server.world import GitHub

pytestmark = pytest.mark.service


def test_cancel_ends_every_process_of_the_run(github: GitHub, visitor: Visitor, tmp_path: Path) -> None:
    jobs = """
jobs:
  work:
    runs-on: ubuntu-latest
    steps:
      - run: |
          trap '' INT TERM
          sleep 301 & sleep 302
      - {if: "always()", run: echo cleaned}
"""
    run = run_of(github, visitor, tmp_path, jobs, wait=False)
    until = time.monotonic() + 30
    while not _sleepers():
        assert time.monotonic() < until
        time.sleep(0.05)

    answer = visitor.call("POST", f"{BOOKS}/actions/runs/{run.id}/cancel")

    github.runner.wait(run)
    assert answer.status_code == 202
    assert run.conclusion == "cancelled"
    assert _sleepers() == []
    assert "cleaned" in log_of(visitor, run.jobs[0])
    assert visitor.call("POST", f"{BOOKS}/actions/runs/{run.id}/cancel").status_code == 409


def _sleepers() -> list[int]:
    ours = psutil.Process().children(recursive=True)
    return [child.pid for child in ours if "sleep" in child.name()]


def test_job_out_of_time_counts_as_canceled_and_a_step_as_failed(
    github: GitHub, visitor: Visitor, tmp_path: Path
) -> None:
    github.stage.seconds_per_minute = 1.0
    jobs = """
jobs:
  job:
    runs-on: ubuntu-latest
    timeout-minutes: 1
    steps: [{run: sleep 60}]
  step:
    runs-on: ubuntu-latest
    steps: [{timeout-minutes: 1, run: sleep 60}]
"""

    run = run_of(github, visitor, tmp_path, jobs)

    assert {job.name: job.conclusion for job in run.jobs} == {"job": "cancelled", "step": "failure"}


def test_group_runs_one_at_a_time_and_lets_one_wait(github: GitHub, visitor: Visitor, tmp_path: Path) -> None:
    jobs = """
concurrency: {group: "deploy-${{ github.repository }}", cancel-in-progress: false}
jobs:
  work:
    runs-on: ubuntu-latest
    steps: [{run: sleep 2}]
"""
    first = run_of(github, visitor, tmp_path, jobs, wait=False)
    while first.status == "queued":
        time.sleep(0.02)
    second = dispatch(github, visitor, wait=False)
    third = dispatch(github, visitor, wait=False)

    for run in (first, second, third):
        github.runner.wait(run)

    assert [run.conclusion for run in (first, second, third)] == ["success", "cancelled", "success"]


def test_rerun_of_failed_jobs_leaves_the_others_alone(
    github: GitHub, visitor: Visitor, tmp_path: Path
) -> None:
    jobs = """
jobs:
  good:
    runs-on: ubuntu-latest
    steps: [{run: "true"}]
  flaky:
    runs-on: ubuntu-latest
    needs: good
    steps: [{run: 'test "$GITHUB_RUN_ATTEMPT" = 2'}]
"""
    run = run_of(github, visitor, tmp_path, jobs)

    answer = visitor.call("POST", f"{BOOKS}/actions/runs/{run.id}/rerun-failed-jobs")

    github.runner.wait(run)
    latest = visitor.call("GET", f"{BOOKS}/actions/runs/{run.id}/jobs").json()["jobs"]
    everything = visitor.call("GET", f"{BOOKS}/actions/runs/{run.id}/jobs", filter="all").json()
    assert answer.status_code == 201
    assert (run.attempt, run.conclusion) == (2, "success")
    assert [(job["name"], job["run_attempt"]) for job in latest] == [("good", 1), ("flaky", 2)]
    assert everything["total_count"] == 3


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"ref": "main", "inputs": {}}, "Required input 'correlation' not provided"),
        (
            {"ref": "main", "inputs": {"correlation": "x", "more": "y"}},
            'Unexpected inputs provided: ["more"]',
        ),
        ({"ref": "absent", "inputs": {"correlation": "x"}}, "No ref found for: absent"),
        ({"ref": "main", "inputs": {"correlation": "x", "rollback": "perhaps"}}, "is not a boolean"),
    ],
)
def test_dispatch_is_checked(
    github: GitHub, visitor: Visitor, tmp_path: Path, body: dict[str, Any], words: str
) -> None:
    jobs = 'jobs: {a: {runs-on: x, steps: [{run: "true"}]}}'
    visitor.start(tmp_path / "books", "books", {".github/workflows/main.yml": HEAD + jobs})

    answer = visitor.call("POST", f"{BOOKS}/actions/workflows/main.yml/dispatches", body)

    assert answer.status_code == 422
    assert words in answer.json()["message"]
