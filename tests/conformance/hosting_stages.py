"""What the conformance suites of hosting begin with, and what they need besides the port itself."""

import uuid
from typing import Protocol

from apps.projects.forge import base, hosting
from tests.fakes_forge import MOMENT, GitSource

SPEC = base.RepositorySpec(project_id="project-1", name="book-list", description="Books")
PULL = hosting.PullRequestSpec(branch="task/1", into="main", title="Add books", body="What was asked for.")
CHECKS = ("check",)

CI = b"""\
name: CI
on:
  push:
    branches: [main]
  pull_request:
jobs:
  check:
    name: check
    runs-on: ubuntu-latest
    timeout-minutes: 5
    steps:
      - name: Check out
        env:
          GITHUB_TOKEN: ${{ secrets.GITHUB_TOKEN }}
        run: |
          git init --quiet .
          basic=$(printf 'x-access-token:%s' "$GITHUB_TOKEN" | base64 -w0)
          export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=http.extraheader
          export GIT_CONFIG_VALUE_0="Authorization: Basic $basic"
          git fetch --quiet --depth 1 "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY" "$GITHUB_SHA"
          git checkout --quiet FETCH_HEAD
      - name: Look for the fault
        run: |
          if test -e broken; then echo "E   assert 1 == 2"; exit 1; fi
"""

DEPLOY = b"""\
name: Deploy
run-name: Deploy ${{ inputs.sha }} (${{ inputs.correlation }})
on:
  workflow_dispatch:
    inputs:
      correlation: {required: true, type: string}
      sha: {required: true, type: string}
      ending: {required: false, type: string, default: good}
permissions:
  contents: read
  deployments: write
jobs:
  deploy:
    name: deploy
    runs-on: ubuntu-latest
    timeout-minutes: 5
    steps:
      - name: Release
        env:
          TOKEN: ${{ secrets.BOT_TOKEN }}
        run: |
          echo "token is $TOKEN"
          case "${{ inputs.ending }}" in
            bad) echo "the server refused the image"; exit 3;;
            endless) sleep 250;;
          esac
      - name: Report
        env:
          GITHUB_TOKEN: ${{ secrets.GITHUB_TOKEN }}
          SHA: ${{ inputs.sha }}
        run: |
          post() { curl --fail --silent --show-error --header "Authorization: Bearer $GITHUB_TOKEN" \\
            --header "Content-Type: application/json" --data "$2" \\
            "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/$1"; }
          made=$(post deployments "{\\"ref\\": \\"$SHA\\", \\"environment\\": \\"production\\",
            \\"auto_merge\\": false, \\"required_contexts\\": []}")
          id=$(printf '%s' "$made" | sed -n 's/.*"id": *\\([0-9]*\\).*/\\1/p' | head -n 1)
          post "deployments/$id/statuses" "{\\"state\\": \\"success\\",
            \\"environment_url\\": \\"https://books.example\\"}" >/dev/null
"""

FILES = {
    "README.md": b"Books\n",
    ".github/workflows/ci.yml": CI,
    ".github/workflows/main.yml": DEPLOY,
}


class GitHost(base.Forge, hosting.Hosting, Protocol):
    """One adapter, both halves of the port."""


class Stage(Protocol):
    """A git host under test."""

    host: GitHost

    def settle_checks(self, repository: base.Repository, sha: str) -> hosting.CheckReport:
        """Wait until the check of a commit has ended, and return what it found out."""

    def settle_run(self, repository: base.Repository, run_id: int) -> hosting.WorkflowRun:
        """Wait until a run has ended."""

    def begin_run(self, repository: base.Repository, run_id: int) -> hosting.WorkflowRun:
        """Wait until a run is at work."""

    def merge_as_person(self, repository: base.Repository, number: int) -> str:
        """Merge a pull request past our records."""


def offer(
    stage: Stage, repository: base.Repository, source: GitSource, *, branch: str = "task/1", **files: bytes
) -> tuple[str, str]:
    """Push a commit on top of main on a branch of its own; returns both heads."""
    main = stage.host.head(repository, "main") or ""
    sha = source.commit_files({**FILES, **files, "books.txt": branch.encode()}, main)
    before = stage.host.head(repository, branch)
    stage.host.push(repository, source=source.path, sha=sha, branch=branch, expected=before)
    return main, sha


def merge_spec(main: str, sha: str, number: int | None) -> base.MergeSpec:
    """A merge of a verified commit through a pull request."""
    return base.MergeSpec(
        request_id="run-1",
        source_sha=sha,
        into="main",
        expected_base=main,
        message="Add books",
        authored_at=MOMENT,
        pull_request=number,
    )


def dispatch_spec(sha: str, **inputs: str) -> hosting.DispatchSpec:
    """A deployment of a commit with a correlation id of its own."""
    correlation = str(uuid.uuid4())
    return hosting.DispatchSpec(
        workflow="main.yml",
        ref="main",
        correlation=correlation,
        inputs={"correlation": correlation, "sha": sha, **inputs},
    )
