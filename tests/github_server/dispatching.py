"""Dispatched workflows of one repository, as the tests of the runner begin."""

from pathlib import Path
from typing import Any

from tests.github_server.state import JobState, Run
from tests.github_server.visitor import Visitor
from tests.github_server.world import GitHub

BOOKS = "/repos/book-club/books"
HEAD = """
name: Work
run-name: Work ${{ inputs.correlation }}
on:
  workflow_dispatch:
    inputs:
      correlation: {required: true}
      rollback: {type: boolean, default: false}
"""


def run_of(
    github: GitHub, visitor: Visitor, folder: Path, jobs: str, *, wait: bool = True, **inputs: str
) -> Run:
    """Run these jobs as a dispatched workflow."""
    visitor.start(folder / "books", "books", {".github/workflows/main.yml": HEAD + jobs})
    return dispatch(github, visitor, wait=wait, **inputs)


def dispatch(github: GitHub, visitor: Visitor, *, wait: bool = True, **inputs: str) -> Run:
    body = {"ref": "main", "inputs": {"correlation": "c-1", **inputs}, "return_run_details": True}
    answer = visitor.call("POST", f"{BOOKS}/actions/workflows/main.yml/dispatches", body)
    answer.raise_for_status()
    repository = github.find("book-club", "books")
    assert repository is not None
    run = repository.run(answer.json()["workflow_run_id"])
    assert run is not None
    if wait:
        github.runner.wait(run)
    return run


def log_of(visitor: Visitor, job: JobState) -> str:
    return visitor.call("GET", f"{BOOKS}/actions/jobs/{job.id}/logs").text


def steps_of(job: JobState) -> dict[str, Any]:
    return {step.name: step.conclusion for step in job.steps[1:-1]}
