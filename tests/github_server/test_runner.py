"""The runner: what steps see, and how they end."""

from pathlib import Path

import pytest

from tests.github_server.dispatching import HEAD, dispatch, log_of, run_of, steps_of
from tests.github_server.visitor import Visitor
from tests.github_server.world import GitHub

pytestmark = pytest.mark.service


def test_exit_codes_decide(github: GitHub, visitor: Visitor, tmp_path: Path) -> None:
    jobs = """
jobs:
  good:
    runs-on: ubuntu-latest
    steps: [{run: "true"}]
  bad:
    runs-on: ubuntu-latest
    steps:
      - {name: First, run: "false | cat"}
      - {name: Second, shell: bash, run: "false | cat"}
      - {name: Third, run: echo never}
      - {name: Fourth, if: failure(), run: echo afterwards}
  later:
    runs-on: ubuntu-latest
    needs: bad
    steps: [{run: "true"}]
  always:
    runs-on: ubuntu-latest
    needs: [bad]
    if: always()
    steps: [{run: "true"}]
"""

    run = run_of(github, visitor, tmp_path, jobs)

    found = {job.name: job.conclusion for job in run.jobs}
    bad = next(job for job in run.jobs if job.name == "bad")
    assert run.conclusion == "failure"
    assert found == {"good": "success", "bad": "failure", "later": "skipped", "always": "success"}
    assert steps_of(bad) == {"First": "success", "Second": "failure", "Third": "skipped", "Fourth": "success"}
    assert "##[error]Process completed with exit code 1." in log_of(visitor, bad)


def test_steps_see_a_clean_documented_environment(
    github: GitHub, visitor: Visitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THIS_MACHINE", "never")
    jobs = """
env: {LEVEL: workflow, ONE: "1"}
jobs:
  work:
    runs-on: ubuntu-latest
    env: {LEVEL: job, TWO: "2"}
    steps:
      - {id: first, env: {LEVEL: step}, run: "env | sort; echo out=$LEVEL >> $GITHUB_OUTPUT"}
      - run: |
          printf 'LATER<<END\\na\\nb\\nEND\\n' >> "$GITHUB_ENV"
          mkdir tool; echo "$PWD/tool" >> "$GITHUB_PATH"; printf '#!/bin/sh\\necho tooled' > tool/mine
          chmod +x tool/mine
      - run: |
          echo "later $LATER" | tr '\\n' '-'; mine
          echo "output ${{ steps.first.outputs.out }} of ${{ github.repository }} ${{ inputs.correlation }}"
"""
    run = run_of(github, visitor, tmp_path, jobs)

    text = log_of(visitor, run.jobs[0])
    assert run.conclusion == "success", text
    for line in ("LEVEL=step", "ONE=1", "TWO=2", "CI=true", "GITHUB_REPOSITORY=book-club/books"):
        assert f"Z {line}\n" in text
    assert f"GITHUB_SHA={run.sha}" in text
    assert "OF_THIS_MACHINE" not in text
    assert "GITHUB_TOKEN" not in text
    assert "later a-b-" in text
    assert "tooled" in text
    assert "output step of book-club/books c-1" in text


def test_secrets_reach_steps_and_never_the_log(github: GitHub, visitor: Visitor, tmp_path: Path) -> None:
    jobs = """
jobs:
  work:
    runs-on: ubuntu-latest
    steps:
      - env: {KEY: "${{ secrets.KEY }}", TOKEN: "${{ secrets.GITHUB_TOKEN }}", NONE: "${{ secrets.NONE }}"}
        run: |
          printf '%s' "$KEY" | sha256sum; echo "$KEY"; echo "token $TOKEN"; echo "none<$NONE>"
          later=later-$(echo secret); echo "::add-mask::$later"; echo "it is $later now"
"""
    repository = github.create_repository("other")
    repository.secrets["KEY"] = "not ours"
    visitor.start(tmp_path / "books", "books", {".github/workflows/main.yml": HEAD + jobs})
    books = github.find("book-club", "books")
    assert books is not None
    books.secrets["KEY"] = "line one\nline two"

    run = dispatch(github, visitor)

    text = log_of(visitor, run.jobs[0])
    assert run.conclusion == "success", text
    assert "line one" not in text
    assert "line two" not in text
    assert "ghs_" not in text
    assert "later-secret" not in text
    assert "token ***" in text
    assert "none<>" in text
    assert "it is *** now" in text


def test_token_of_a_job_has_the_declared_permissions_and_ends_with_it(
    github: GitHub, visitor: Visitor, tmp_path: Path
) -> None:
    jobs = """
permissions: {contents: read}
jobs:
  work:
    runs-on: ubuntu-latest
    steps:
      - env: {TOKEN: "${{ github.token }}"}
        run: |
          ask() { curl -s -o /dev/null -w "$1 %{http_code}\\n" -H "Authorization: Bearer $TOKEN" "$@"; }
          ask -X GET "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/branches"
          ask -X POST -d '{"ref": "main"}' "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/deployments"
"""

    run = run_of(github, visitor, tmp_path, jobs)

    text = log_of(visitor, run.jobs[0])
    assert "-X 200" in text
    assert "-X 403" in text
    assert [token for token in github.tokens.values() if token.is_job] == []


def test_unknown_action_fails_the_job_before_its_steps(
    github: GitHub, visitor: Visitor, tmp_path: Path
) -> None:
    jobs = """
jobs:
  work:
    runs-on: ubuntu-latest
    steps:
      - {run: touch ran}
      - {uses: somebody/unknown@v1}
"""

    run = run_of(github, visitor, tmp_path, jobs)

    assert run.conclusion == "failure"
    assert set(steps_of(run.jobs[0]).values()) == {"skipped"}
    assert "somebody/unknown@v1" in log_of(visitor, run.jobs[0])


def test_unusable_file_is_a_startup_failure_and_a_complaint(
    github: GitHub, visitor: Visitor, tmp_path: Path
) -> None:
    github.may_complain = True
    text = "on: [push]\njobs: {a: {runs-on: x, strategy: {matrix: {b: [1]}}, steps: [{run: 'true'}]}}"

    visitor.start(tmp_path / "books", "books", {".github/workflows/ci.yml": text})

    repository = github.find("book-club", "books")
    assert repository is not None
    github.runner.wait(repository.runs[0])
    assert repository.runs[0].conclusion == "startup_failure"
    assert github.complaints == [".github/workflows/ci.yml: strategy in the job a"]
