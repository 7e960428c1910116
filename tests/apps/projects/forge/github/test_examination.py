"""What the doctor finds out about the app."""

import pytest

from apps.projects.forge.github.config import GitHubConfig
from apps.projects.forge.github.examination import examine
from orchestrator.doctor_outside import _github

pytestmark = pytest.mark.service


def config_of(github, **changes) -> GitHubConfig:
    values = {
        "organisation": github.org,
        "app_id": str(github.app.id),
        "private_key": github.app.private_pem,
        "api_url": github.url,
    }
    return GitHubConfig(**{**values, **changes})


def test_healthy_app_is_told_in_three_lines(github):
    found = list(examine(config_of(github)))

    assert [(line.name, line.is_ok) for line in found] == [
        ("github app", True),
        ("github organisation", True),
        ("github permissions", True),
    ]
    assert github.app.slug in found[0].text


def test_permissions_that_lack_are_named(github):
    github.app.granted = {**github.app.granted, "contents": "read"}
    del github.app.granted["secrets"]

    found = list(examine(config_of(github)))

    assert not found[-1].is_ok
    assert found[-1].text == "lacking contents: write, secrets: write"
    assert "Permissions & events" in found[-1].repair


@pytest.mark.parametrize(
    ("changes", "name", "repair"),
    [
        ({"app_id": ""}, "github app", "GITHUB_APP_ID"),
        ({"app_id": "999"}, "github app", "GITHUB_APP_ID"),
        ({"private_key": ""}, "github app", "GITHUB_APP_PRIVATE_KEY"),
        ({"private_key": "nonsense"}, "github app", "download a new one"),
        ({"organisation": ""}, "github organisation", "GITHUB_ORG"),
        ({"organisation": "nobody-at-all"}, "github organisation", "GITHUB_ORG"),
        ({"api_url": "http://127.0.0.1:1/api/v3"}, "github app", ""),
    ],
)
def test_first_thing_that_is_wrong_is_the_last_line(changes, name, repair, github):
    found = list(examine(config_of(github, **changes)))

    assert (found[-1].name, found[-1].is_ok) == (name, False)
    assert repair in found[-1].repair
    assert all(line.is_ok for line in found[:-1])


def test_app_that_is_not_installed_is_told(github):
    github.app.is_installed = False

    found = list(examine(config_of(github)))

    assert (found[-1].name, found[-1].is_ok) == ("github organisation", False)
    assert "install it" in found[-1].repair


def test_doctor_says_nothing_of_github_where_it_is_not_used():
    assert list(_github({"PROJECTS_FORGE": "local"})) == []


@pytest.mark.parametrize(("forge", "is_red"), [("github", True), ("local", False)])
def test_doctor_is_red_only_where_projects_live_on_github(forge, is_red, github):
    values = {"PROJECTS_FORGE": forge, "GITHUB_APP_ID": "999", "GITHUB_API_BASE_URL": github.url}

    found = list(_github({**values, "GITHUB_APP_PRIVATE_KEY": github.app.private_pem}))

    assert [line.name for line in found] == ["github app", "github webhook"]
    assert (not found[0].is_ok and not found[0].is_optional) is is_red
