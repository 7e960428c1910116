"""Personal tokens from a terminal."""

import json

import pytest

from tests.worker_image.cli.test_commands import page, refusal

pytestmark = pytest.mark.unit

ROW = {
    "id": "i1",
    "name": "laptop",
    "prefix": "abcdefgh",
    "scopes": ["read"],
    "expires_at": None,
    "last_used_at": None,
}


def test_tokens_are_listed(person, api):
    api.on("GET", "/api/tokens/", page(ROW))

    result = person("token", "list")

    assert json.loads(result.stdout)["data"] == [ROW]


def test_new_token_is_shown_once(person, api):
    api.on("POST", "/api/tokens/", (201, {**ROW, "token": "words"}))

    result = person("token", "create", "--name", "laptop", "--scope", "read", "--days", "7")

    (asked,) = api.asked("POST", "/api/tokens/")
    assert asked.body == {"name": "laptop", "scopes": ["read"], "expires_in_days": 7}
    assert asked.headers["Idempotency-Key"]
    assert json.loads(result.stdout)["data"]["token"] == "words"


def test_token_whose_words_were_lost_is_to_be_made_anew(person, api):
    api.on("POST", "/api/tokens/", (201, {**ROW, "token": ""}))

    result = person("token", "create", "--name", "laptop")

    assert "make another" in json.loads(result.stdout)["message"]


def test_token_is_revoked(person, api):
    api.on("DELETE", "/api/tokens/i1/", (204, None))

    result = person("token", "revoke", "i1")

    assert result.exit_code == 0
    assert api.asked("DELETE", "/api/tokens/i1/")


def test_unknown_token_is_said(person, api):
    api.on("DELETE", "/api/tokens/i1/", refusal(404, "not_found"))

    result = person("token", "revoke", "i1")

    assert result.exit_code == 1
