"""Secrets at rest: unreadable in the database, readable with any configured key, loud with a wrong one."""

import pytest
from cryptography.fernet import Fernet
from django.db import connection

from apps.encryption import UndecryptableSecret, cipher
from apps.projects.models import ProjectSecret
from tests.factories import make_secret

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def stored() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM projects_projectsecret")
        return cursor.fetchone()[0]


@pytest.mark.parametrize("value", ["", "hunter2", "пароль", "🙂" * 1_000, "line\nline", "***"])
def test_value_comes_back_and_is_not_in_the_database(value):
    secret = make_secret(value=value)

    assert ProjectSecret.objects.get(pk=secret.pk).value == value
    assert stored().startswith("gAAAA")
    assert not value or value not in stored()


def test_equal_values_look_different():
    make_secret(value="same")
    first = stored()
    ProjectSecret.objects.all().delete()
    make_secret(value="same")

    assert stored() != first


def test_older_key_still_reads_and_the_newest_writes(settings):
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [old]
    secret = make_secret(value="kept")
    settings.ENCRYPTION_KEYS = [new, old]

    secret.refresh_from_db()
    kept = secret.value
    secret.save()
    settings.ENCRYPTION_KEYS = [new]

    assert kept == "kept"
    assert ProjectSecret.objects.get().value == "kept"


def test_wrong_key_is_an_error_and_never_the_ciphertext(settings):
    make_secret(value="kept")
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]

    with pytest.raises(UndecryptableSecret) as refusal:
        ProjectSecret.objects.get()

    assert "gAAAA" not in f"{refusal.value} {refusal.value.details}"


@pytest.mark.parametrize("rubbish", ["", "plain", "gAAAA"])
def test_value_that_is_no_ciphertext_is_an_error(rubbish):
    secret = make_secret(value="kept")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE projects_projectsecret SET value = %s", [rubbish])

    with pytest.raises(UndecryptableSecret):
        secret.refresh_from_db()


def test_cipher_follows_the_settings(settings):
    token = cipher().encrypt(b"x")
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.ENCRYPTION_KEYS]

    assert cipher().decrypt(token) == b"x"


def test_secret_does_not_show_in_its_row_name():
    assert "s3cret" not in f"{make_secret()} {make_secret()!r}"
