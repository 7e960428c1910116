"""Tokens: least permissions, shared, renewed in time, and seen by nobody."""

import logging
import threading
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from apps.encryption import cipher
from apps.projects.forge import base, hosting
from apps.projects.forge.github.app import TokenRepositoryAbsent, scope
from tests.apps.projects.forge.github.conftest import SPEC

pytestmark = pytest.mark.service

MINT = "POST /app/installations/{installation}/access_tokens"


def tokens_of(forge) -> Any:
    return forge._client.tokens


def test_token_is_good_for_one_repository_and_what_was_asked_alone(github, forge, repository):
    value = tokens_of(forge).get(scope(int(repository.id), contents="read"))

    token = github.tokens[value]
    assert token.repository_ids == {int(repository.id)}
    assert token.permissions == {"metadata": "read", "contents": "read"}


def test_processes_share_a_token(github, connect, repository):
    wanted = scope(int(repository.id), contents="read")
    tokens_of(connect()).get(wanted)

    with github.stage.counting() as calls:
        values = {tokens_of(connect()).get(wanted) for _ in range(3)}

    assert len(values) == 1
    assert calls == {}


def test_processes_that_wake_up_together_make_one_token(github, connect, repository):
    wanted, found = scope(int(repository.id), actions="read"), []
    github.stage.delay_seconds = 0.2
    threads = [
        threading.Thread(target=lambda: found.append(tokens_of(connect()).get(wanted))) for _ in range(6)
    ]

    with github.stage.counting() as calls:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

    assert len(found) == 6
    assert len(set(found)) == 1
    assert calls[MINT] == 1


def test_who_gets_the_lock_just_after_another_uses_what_that_one_made(github, connect, repository):
    wanted = scope(int(repository.id), actions="read")
    slow, quick = tokens_of(connect()), tokens_of(connect())
    read, made = slow._read, []

    def read_too_early(key: str) -> str | None:
        known = read(key)
        if not made:
            made.append(quick.get(wanted))
        return known

    slow._read = read_too_early

    assert [slow.get(wanted)] == made


def test_token_is_renewed_before_it_ends(github, forge, repository, shared):
    wanted = scope(int(repository.id), contents="read")
    github.stage.token_seconds = 900
    first = tokens_of(forge).get(wanted)
    (key,) = [name for name in shared.scan_iter("github:*:token:*") if forge_token(shared, name) == first]

    left = shared.ttl(key)
    shared.delete(key)

    assert 590 <= left <= 600
    assert tokens_of(forge).get(wanted) != first


def test_token_that_soon_ends_is_used_and_not_kept(github, forge, repository):
    wanted = scope(int(repository.id), contents="read")
    github.stage.token_seconds = 200

    assert tokens_of(forge).get(wanted) != tokens_of(forge).get(wanted)


def forge_token(shared, key) -> str:
    return cipher().decrypt(shared.get(key)).decode()


def test_tokens_are_unreadable_at_rest_and_in_logs(github, forge, shared, caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("github.Requester").setLevel(logging.DEBUG)

    repository = forge.ensure_repository(SPEC)
    forge.head(repository, "main")

    stored = b"".join(bytes(shared.get(key)) for key in shared.scan_iter("github:*:token:*"))
    assert len(github.tokens) >= 2
    for value in github.tokens:
        assert value.encode() not in stored
        assert value not in caplog.text
    assert "Bearer " not in caplog.text


def test_expiry_in_the_middle_is_one_renewal(github, forge, repository):
    forge.list_secrets(repository)
    github.expire_tokens()

    with github.stage.counting() as calls:
        names = forge.list_secrets(repository)

    assert names == frozenset()
    assert (calls[MINT], calls["GET /repos/{owner}/{repo}/actions/secrets"]) == (1, 2)


def test_expiry_in_the_middle_of_git_is_one_renewal(github, forge, repository):
    forge.head(repository, "main")
    github.expire_tokens()

    with github.stage.counting() as calls:
        assert forge.head(repository, "main") is None

    assert calls[MINT] == 1


def test_new_tokens_that_are_not_accepted_either_are_a_wait(github, forge, repository):
    github.stage.token_seconds = -1

    with pytest.raises(base.ForgeUnavailable), github.stage.counting() as calls:
        forge.list_secrets(repository)

    with pytest.raises(base.ForgeUnavailable):
        forge.head(repository, "main")
    assert calls[MINT] <= 2


def test_token_of_rotated_keys_is_made_anew(github, forge, repository, shared):
    wanted = scope(int(repository.id), contents="read")
    tokens_of(forge).get(wanted)
    for key in shared.scan_iter("github:*:token:*"):
        shared.set(key, b"of another key")

    assert tokens_of(forge).get(wanted) in github.tokens


def test_forgetting_spares_a_token_that_is_newer(github, forge, repository):
    wanted = scope(int(repository.id), contents="read")
    newer = tokens_of(forge).get(wanted)

    tokens_of(forge).forget(wanted, "an older one")

    assert tokens_of(forge).get(wanted) == newer


def test_absent_repository_gets_no_token(forge, repository):
    with pytest.raises(TokenRepositoryAbsent):
        tokens_of(forge).get(scope(4_711, contents="read"))


def test_permission_that_was_not_granted_is_named(github, forge, repository):
    del github.app.granted["secrets"]

    with pytest.raises(hosting.ForgeForbidden) as refused:
        forge.put_secrets(repository, {"A": "b"})

    assert refused.value.details["permission"] == "secrets: write"
    assert "grant it on the app's page" in refused.value.message


def test_level_that_was_not_granted_is_named(github, forge):
    github.app.granted["administration"] = "read"

    with pytest.raises(hosting.ForgeForbidden) as refused:
        forge.ensure_repository(SPEC)

    assert refused.value.details["permission"] == "administration: write"


def test_app_that_is_not_installed_says_where_to_install_it(github, forge):
    github.app.is_installed = False

    with pytest.raises(hosting.AppNotInstalled) as refused:
        forge.ensure_repository(SPEC)

    assert "install it" in refused.value.message


def test_app_that_was_installed_anew_is_found(github, forge, repository, monkeypatch):
    monkeypatch.setattr(github.app, "installation_id", 2002)

    assert forge.ensure_repository(SPEC) == repository
    assert forge.list_secrets(repository) == frozenset()


def test_unknown_organisation_is_told(connect):
    with pytest.raises(hosting.OrganisationNotFound) as refused:
        connect(organisation="nobody-at-all").ensure_repository(SPEC)

    assert "GITHUB_ORG" in refused.value.message


def test_organisation_that_is_not_set_is_told(connect):
    with pytest.raises(hosting.OrganisationNotFound) as refused:
        connect(organisation="").ensure_repository(SPEC)

    assert "GITHUB_ORG" in refused.value.message


@pytest.mark.parametrize("changes", [{"app_id": "999"}, {"private_key": "nonsense"}, {"app_id": ""}])
def test_credential_that_is_wrong_is_told(changes, connect):
    with pytest.raises(hosting.ForgeCredentialInvalid) as refused:
        connect(**changes).ensure_repository(SPEC)

    assert "GITHUB_APP" in refused.value.message


def test_key_of_another_app_is_told(connect):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    with pytest.raises(hosting.ForgeCredentialInvalid):
        connect(private_key=pem).ensure_repository(SPEC)


def test_host_that_is_away_is_unavailable(connect):
    with pytest.raises(base.ForgeUnavailable):
        connect(api_url="http://127.0.0.1:1/api/v3").ensure_repository(SPEC)
