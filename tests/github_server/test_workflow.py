"""What the double accepts as a workflow file."""

import pytest

from tests.github_server import workflow
from tests.github_server.workflow import WorkflowInvalid, WorkflowUnsupported

pytestmark = pytest.mark.unit

GOOD = """
name: CI
on: [push]
jobs:
  check:
    runs-on: ubuntu-latest
    steps:
      - run: "true"
"""


def read(text: str) -> workflow.Workflow:
    return workflow.read(".github/workflows/ci.yml", text.encode())


def test_on_is_a_word_and_no_truth_value() -> None:
    found = read(GOOD)

    assert found.name == "CI"
    assert found.starts_on("push", "main")
    assert not found.starts_on("pull_request", "main", "opened")


@pytest.mark.parametrize(
    ("filters", "event", "branch", "action", "starts"),
    [
        ("push: {branches: [main]}", "push", "main", "", True),
        ("push: {branches: [main]}", "push", "task/1", "", False),
        ("push: {branches: ['task/*']}", "push", "task/1", "", True),
        ("push: {branches: ['*']}", "push", "task/1", "", False),
        ("push: {branches: ['**']}", "push", "task/1", "", True),
        ("push: {branches-ignore: [main]}", "push", "main", "", False),
        ("push: {tags: ['v*']}", "push", "main", "", False),
        ("pull_request:", "pull_request", "main", "synchronize", True),
        ("pull_request:", "pull_request", "main", "closed", False),
        ("pull_request: {types: [closed]}", "pull_request", "main", "closed", True),
        ("pull_request: {branches: [dev]}", "pull_request", "main", "opened", False),
    ],
)
def test_filters_decide_what_starts(filters: str, event: str, branch: str, action: str, starts: bool) -> None:
    text = GOOD.replace("on: [push]", f"on:\n  {filters}")

    found = read(text)

    assert found.starts_on(event, branch, action) is starts


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("name: CI", "name: CI\nname: Twice"),
        ("on: [push]", "off: [push]"),
        ("runs-on: ubuntu-latest", "run-on: ubuntu-latest"),
        ('- run: "true"', '- {run: "true", uses: actions/checkout@v4}'),
        ('- run: "true"', "- name: nothing to do"),
        ('- run: "true"', '- {run: "true", env: {A: "${{ secret.A }}"}}'),
        ('- run: "true"', '- {run: "true", if: "secrets.A != \'\'"}'),
        ("name: CI", "name: CI\nrun-name: ${{ env.A }}"),
        ("runs-on: ubuntu-latest", "runs-on: ubuntu-latest\n    needs: absent"),
        ("jobs:", "jobs: ["),
    ],
    ids=[
        "twice",
        "on",
        "key",
        "both",
        "neither",
        "context",
        "if-secret",
        "run-name",
        "needs",
        "yaml",
    ],
)
def test_file_that_github_would_not_accept_is_invalid(before: str, after: str) -> None:
    text = GOOD.replace(before, after)

    with pytest.raises(WorkflowInvalid) as refused:
        read(text)

    assert not isinstance(refused.value, WorkflowUnsupported)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("on: [push]", "on: [schedule]"),
        ("runs-on: ubuntu-latest", "runs-on: ubuntu-latest\n    strategy: {matrix: {a: [1]}}"),
        ("runs-on: ubuntu-latest", "runs-on: ubuntu-latest\n    services: {db: {image: postgres}}"),
        ('- run: "true"', '- {run: "true", shell: pwsh}'),
    ],
)
def test_what_only_the_double_cannot_do_is_told_apart(before: str, after: str) -> None:
    text = GOOD.replace(before, after)

    with pytest.raises(WorkflowUnsupported):
        read(text)
