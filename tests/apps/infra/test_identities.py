"""Keys are rows before servers hear of them, and of each kind one is installed at a time."""

import pytest
from django.db import IntegrityError, transaction

from apps.errors import Invalid
from apps.infra import identities
from apps.infra.models import IdentityPurpose, IdentityStatus, SshIdentity
from tests.factories import make_server

pytestmark = [pytest.mark.service, pytest.mark.django_db]

ADMIN, DEPLOY = IdentityPurpose.ADMIN, IdentityPurpose.DEPLOY


def test_a_candidate_is_stored_and_taken_again_by_a_later_attempt() -> None:
    server = make_server(kind="ssh")

    first = identities.ensure_candidate(server=server, purpose=ADMIN)
    again = identities.ensure_candidate(server=server, purpose=ADMIN)

    assert (again.pk, again.private_key) == (first.pk, first.private_key)
    assert identities.read_key_pair(first.private_key).fingerprint == first.fingerprint
    assert identities.find_installed(server_id=server.pk, purpose=ADMIN) is None


def test_an_installed_key_replaces_the_one_before_however_often_it_is_said() -> None:
    server = make_server(kind="ssh")
    old, new = [], []
    for keys in (old, new):
        keys.append(identities.ensure_candidate(server=server, purpose=ADMIN))
        identities.mark_installed(identity_id=keys[0].pk)

    identities.mark_installed(identity_id=old[0].pk)

    found = identities.find_installed(server_id=server.pk, purpose=ADMIN)
    assert found == new[0]
    assert old[0].reload().status == IdentityStatus.RETIRED


def test_keys_of_different_purposes_do_not_touch_each_other() -> None:
    server = make_server(kind="ssh", identity="PRIVATE")

    identities.mark_installed(identity_id=identities.ensure_candidate(server=server, purpose=ADMIN).pk)

    deploy = identities.find_installed(server_id=server.pk, purpose=DEPLOY)
    assert deploy is not None
    assert deploy.private_key == "PRIVATE"


def test_two_installed_keys_of_one_purpose_are_refused_by_the_database() -> None:
    server = make_server(kind="ssh", identity="PRIVATE")

    with pytest.raises(IntegrityError), transaction.atomic():
        SshIdentity.objects.create(server=server, purpose=DEPLOY, status="installed", private_key="OTHER")


@pytest.mark.parametrize("text", ["", "sesame", "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VzYW1l\n"])
def test_what_is_not_a_key_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        identities.read_key_pair(text)

    assert "sesame" not in str(refused.value)
