"""Stored secrets move to the newest key, once, and nobody's newer value is overwritten."""

import io

import pytest
from cryptography.fernet import Fernet
from django.conf import settings as configured
from django.core.management import CommandError, call_command
from django.db import connection

from apps import rotation
from apps.projects.models import ProjectSecret
from tests.factories import make_secret

pytestmark = [pytest.mark.service, pytest.mark.django_db]

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))
#: Rows that other tests committed are encrypted with these.
OTHERS = tuple(configured.ENCRYPTION_KEYS)


def stored() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM projects_projectsecret ORDER BY id")
        return [row[0] for row in cursor.fetchall()]


def rotate(*arguments: str) -> str:
    told = io.StringIO()
    call_command("rotate_secrets", *arguments, stdout=told)
    return told.getvalue()


def test_every_encrypted_column_is_known() -> None:
    names = {f"{model._meta.label_lower}.{column}" for model, column in rotation.encrypted_columns()}

    assert {"projects.projectsecret.value", "infra.servicedeployment.environment"} <= names


def test_values_move_to_the_first_key_and_stay_readable_without_the_old_one(settings) -> None:
    settings.ENCRYPTION_KEYS = [OLD, *OTHERS]
    secret = make_secret(value="sesame")

    settings.ENCRYPTION_KEYS = [NEW, OLD, *OTHERS]
    told = rotate()

    settings.ENCRYPTION_KEYS = [NEW, *OTHERS]
    assert ProjectSecret.objects.get(pk=secret.pk).value == "sesame"
    assert "projects.projectsecret.value: 1 rotated, 0 current" in told


def test_a_second_time_there_is_nothing_to_do(settings) -> None:
    settings.ENCRYPTION_KEYS = [OLD, *OTHERS]
    make_secret(value="sesame")
    settings.ENCRYPTION_KEYS = [NEW, OLD, *OTHERS]
    rotate()
    before = stored()

    told = rotate()

    assert stored() == before
    assert "projects.projectsecret.value: 0 rotated, 1 current" in told


def test_a_dry_run_only_counts(settings) -> None:
    settings.ENCRYPTION_KEYS = [OLD, *OTHERS]
    make_secret(value="sesame")
    before = stored()

    settings.ENCRYPTION_KEYS = [NEW, OLD, *OTHERS]
    told = rotate("--dry-run")

    assert stored() == before
    assert "1 would be rotated" in told


def test_an_interrupted_rotation_is_finished_by_the_next(settings, monkeypatch) -> None:
    settings.ENCRYPTION_KEYS = [OLD, *OTHERS]
    for number in range(5):
        make_secret(value=f"sesame-{number}")
    settings.ENCRYPTION_KEYS = [NEW, OLD, *OTHERS]
    monkeypatch.setattr(rotation, "BATCH_ROWS", 2)
    values = rotation._values(ProjectSecret, "value")
    key, text = next(values)
    rotation._replace(ProjectSecret, "value", key, text, rotation.cipher().rotate(text.encode()).decode())

    found = rotation.rotate_column(ProjectSecret, "value")

    assert (found.current, found.rotated) == (1, 4)


def test_what_no_key_fits_is_left_and_told(settings) -> None:
    settings.ENCRYPTION_KEYS = [OLD, *OTHERS]
    make_secret(value="sesame")
    before = stored()
    settings.ENCRYPTION_KEYS = [NEW, *OTHERS]

    with pytest.raises(CommandError, match="1 values fit none"):
        rotate()

    assert stored() == before


def test_a_value_written_meanwhile_stays(settings) -> None:
    settings.ENCRYPTION_KEYS = [OLD, *OTHERS]
    secret = make_secret(value="sesame")
    (old_text,) = stored()
    ProjectSecret.objects.filter(pk=secret.pk).update(value="newer")

    replaced = rotation._replace(ProjectSecret, "value", secret.pk, old_text, "x")

    assert replaced == 0
    assert ProjectSecret.objects.get(pk=secret.pk).value == "newer"
