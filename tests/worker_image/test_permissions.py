"""Permissions: wildcards, and an empty list allows nothing."""

import pytest

from worker_image.permissions import PROFILES, is_allowed

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("allowed", "command", "expected"),
    [
        (["*"], "deploy.start", True),
        (["deploy.*"], "deploy.start", True),
        (["deploy.*"], "deploy", False),
        (["deploy.*"], "deployment.start", False),
        (["project.get"], "project.get", True),
        (["project.get"], "project.getter", False),
        (["project.get"], "project", False),
        ([".*"], "project.get", False),
        (["pro*"], "project.get", False),
        ([], "respond", False),
        (["*"], "", False),
    ],
)
def test_command_is_covered_only_by_its_patterns(allowed: list[str], command: str, expected: bool) -> None:
    assert is_allowed(allowed, command) is expected


def test_developer_may_not_deploy() -> None:
    assert not is_allowed(PROFILES["DEVELOPER"], "deploy.start")
