"""Signing in and out, and where the credentials are kept."""

import json

import pytest

from worker_image.cli import credentials as stored

pytestmark = pytest.mark.unit


@pytest.fixture
def signed_in(api, person, monkeypatch):
    """A person who signed in; nothing about it is in the environment."""
    monkeypatch.delenv("ORCHESTRATOR_URL")
    monkeypatch.delenv("ORCHESTRATOR_TOKEN")
    api.on("POST", "/api/login/", (201, {"token": "kept-token", "expires_at": "2027-01-01T00:00:00Z"}))
    api.on("POST", "/api/logout/", (204, None))
    api.on("GET", "/api/projects/", (200, {"next": None, "results": []}))
    result = person("login", "--url", api.url, "--username", "ann", input="correct horse\n")
    assert result.exit_code == 0, result.output
    return result


def test_token_is_kept_for_the_owner_alone(signed_in, home):
    path = home / ".config" / "orchestrator" / "credentials.json"

    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert json.loads(path.read_text())["token"] == "kept-token"


def test_neither_token_nor_password_is_printed(signed_in):
    assert "kept-token" not in signed_in.output
    assert "correct horse" not in signed_in.output


def test_kept_token_is_used_from_then_on(signed_in, api, person):
    person("project", "list")

    assert api.heard[-1].headers["Authorization"] == "Token kept-token"


def test_kept_token_is_not_shown_to_another_place(signed_in, home, monkeypatch):
    monkeypatch.setenv("ORCHESTRATOR_URL", "http://elsewhere.example")

    assert stored.load().token == ""


def test_signing_out_revokes_and_forgets(signed_in, api, person, home):
    result = person("logout")

    assert result.exit_code == 0
    assert api.asked("POST", "/api/logout/")[0].headers["Authorization"] == "Token kept-token"
    assert not (home / ".config" / "orchestrator" / "credentials.json").exists()


def test_signing_out_with_a_revoked_token_forgets_it_all_the_same(signed_in, api, person, home):
    api.on("POST", "/api/logout/", (401, {"error": "authentication_failed", "message": "no", "details": {}}))

    result = person("logout")

    assert result.exit_code == 0
    assert not (home / ".config" / "orchestrator" / "credentials.json").exists()


def test_wrong_password_exits_1_and_keeps_nothing(api, person, home):
    answer = {
        "error": "authentication_failed",
        "message": "The name or the password is wrong.",
        "details": {},
    }
    api.on("POST", "/api/login/", (401, answer))

    result = person("login", "--url", api.url, "--username", "ann", input="guess\n")

    assert result.exit_code == 1
    assert not (home / ".config").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\x00"])
def test_damaged_file_is_no_credentials(tmp_path, content):
    path = stored.credentials_file({"XDG_CONFIG_HOME": str(tmp_path)})
    path.parent.mkdir(parents=True)
    path.write_text(content)

    found = stored.load({"XDG_CONFIG_HOME": str(tmp_path)})

    assert (found.url, found.token) == (stored.DEFAULT_URL, "")


def test_leftover_of_an_earlier_write_does_not_loosen_the_mode(tmp_path):
    path = tmp_path / "credentials.json"
    path.with_suffix(".part").write_text("")
    path.with_suffix(".part").chmod(0o644)

    stored.keep(stored.Credentials(url="http://x", token="sesame"), path=path)

    assert path.stat().st_mode & 0o777 == 0o600


def test_token_does_not_show():
    assert "sesame" not in repr(stored.Credentials(url="http://x", token="sesame"))


def test_environment_wins_over_the_file(tmp_path):
    path = stored.credentials_file({"XDG_CONFIG_HOME": str(tmp_path)})
    stored.keep(stored.Credentials(url="http://kept", token="kept"), path=path)

    found = stored.load(
        {"XDG_CONFIG_HOME": str(tmp_path), "ORCHESTRATOR_URL": "http://said", "ORCHESTRATOR_TOKEN": "said"}
    )

    assert (found.url, found.token) == ("http://said", "said")
