"""What a project's workflow reports about a deployment: not believed to be well-formed."""

import json
from typing import Any

import pytest

from apps.projects.forge import base
from apps.projects.forge.github.deployments import payload_of
from tests.apps.projects.forge.github.scripted import REPOSITORY, SHA, forge_of, said

pytestmark = pytest.mark.unit

LIST = "GET /deployments"


def read(deployments: Any, **statuses: Any) -> Any:
    answers = {f"GET /deployments/{key[1:]}/statuses": said(200, value) for key, value in statuses.items()}
    forge, _ = forge_of({LIST: said(200, deployments), **answers})
    return forge.read_deployment(REPOSITORY, sha=SHA, environment="production")


def test_newest_deployment_of_the_commit_is_read_with_its_newest_status():
    deployments = [
        {"id": 3, "sha": "b" * 40},
        {"id": 1, "sha": SHA},
        {"id": 2, "sha": SHA, "payload": {"correlation": "c-1"}},
    ]
    statuses = [
        {
            "id": 8,
            "state": "success",
            "environment_url": "https://books.example",
            "log_url": "https://h.example",
        },
        {"id": 7, "state": "in_progress"},
    ]

    found = read(deployments, _2=statuses)

    assert (found.state, found.url, found.log_url) == (
        "success",
        "https://books.example",
        "https://h.example",
    )
    assert found.payload == {"correlation": "c-1"}


def test_commit_that_was_not_deployed_has_none():
    assert read([]) is None
    assert read([{"id": 1, "sha": "b" * 40}]) is None


def test_deployment_without_a_status_is_pending():
    found = read([{"id": 1, "sha": SHA}], _1=[])

    assert (found.state, found.url) == ("pending", "")


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "/relative", "https://a b", "https://a\nb", "https://" + "x" * 600, 5, None],
)
def test_address_that_is_none_is_left_out(url):
    found = read([{"id": 1, "sha": SHA}], _1=[{"id": 2, "state": "success", "environment_url": url}])

    assert found.url == ""


@pytest.mark.parametrize(
    ("value", "payload"),
    [
        ({"a": 1}, {"a": 1}),
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        ("{", {}),
        ("[1]", {}),
        (None, {}),
        ([1], {}),
        ({"a": "x" * 20_000}, {}),
        (json.dumps({"a": "x" * 20_000}), {}),
        ("[" * 10_000, {}),
    ],
)
def test_payload_is_an_object_of_bounded_size_or_nothing(value, payload):
    assert payload_of(value) == payload


def test_listing_of_another_form_is_unavailable():
    with pytest.raises(base.ForgeUnavailable):
        read({"deployments": []})
