"""Secrets: formats before any effect, generated once, one project per bot, values shown to nobody."""

import logging
from typing import Any

import pytest

from apps.errors import Invalid
from apps.projects import selectors, services
from apps.projects.environment_contract import Entry
from apps.projects.models import Project, ProjectSecret, SecretSource
from apps.projects.secrets_digest import digest_of
from apps.projects.secrets_formats import format_problem
from tests.factories import make_project, make_secret, make_user

pytestmark = [pytest.mark.service, pytest.mark.django_db]

TOKEN = "123456789:" + "A" * 35
CONTRACT = [
    {"key": "BOT_TOKEN", "source": "user_secret", "format": "telegram_bot_token"},
    {"key": "SITE", "source": "user_secret", "format": "url"},
    {"key": "SIGNING_KEY", "source": "generated_secret", "bytes": 24},
]


def make_bot_project(**fields: Any) -> Project:
    project = make_project(status="active", **fields)
    manifest = {**(project.manifest or {}), "environment": CONTRACT}
    Project.objects.filter(pk=project.pk).update(manifest=manifest)
    return project


@pytest.mark.unit
@pytest.mark.parametrize(
    ("kind", "value", "is_fine"),
    [
        ("telegram_bot_token", TOKEN, True),
        ("telegram_bot_token", "123456789", False),
        ("telegram_bot_token", f"{TOKEN} ", False),
        ("openai_key", "sk-proj-" + "a" * 40, True),
        ("openai_key", "pk-" + "a" * 40, False),
        ("url", "https://example.com/x?y=1", True),
        ("url", "postgresql://user:word@db:5432/app", True),
        ("url", "example.com", False),
        ("url", "https://", False),
        ("url", "https://a b", False),
        ("url", "https://a:99999", False),
        ("url", "https://[", False),
        ("text", "anything\nat all", True),
    ],
)
def test_formats(kind: Any, value: str, is_fine: bool) -> None:
    assert (format_problem(value, kind) is None) is is_fine


def test_a_value_of_the_wrong_format_is_refused_without_showing_it() -> None:
    project = make_bot_project()

    with pytest.raises(Invalid) as refused:
        services.set_secret(project_id=project.pk, key="BOT_TOKEN", value="hunter2")

    assert list(refused.value.details) == ["value"]
    assert "hunter2" not in f"{refused.value} {refused.value.details}"
    assert not ProjectSecret.objects.exists()


def test_space_around_a_copied_token_is_not_part_of_it() -> None:
    project = make_bot_project()

    services.set_secret(project_id=project.pk, key="BOT_TOKEN", value=f" {TOKEN}\n")

    assert selectors.known_secrets(project_id=project.pk)["BOT_TOKEN"].value == TOKEN


def test_a_bot_of_a_stranger_is_refused_without_a_name() -> None:
    first, second = make_bot_project(), make_bot_project()
    services.set_secret(project_id=first.pk, key="BOT_TOKEN", value=TOKEN)

    with pytest.raises(services.BotTokenTaken) as refused:
        services.set_secret(project_id=second.pk, key="BOT_TOKEN", value=TOKEN)

    told = f"{refused.value} {refused.value.details}"
    assert first.slug not in told
    assert TOKEN not in told


def test_a_bot_of_ones_own_is_refused_with_the_projects_name() -> None:
    owner = make_user()
    first, second = make_bot_project(owner=owner), make_bot_project(owner=owner)
    services.set_secret(project_id=first.pk, key="BOT_TOKEN", value=TOKEN)

    with pytest.raises(services.BotTokenTaken) as refused:
        services.set_secret(project_id=second.pk, key="BOT_TOKEN", value=TOKEN)

    assert refused.value.details == {"project": first.slug}


@pytest.mark.parametrize("is_declared_first", [True, False])
def test_a_bot_works_for_one_project_whatever_the_contracts_call_it(is_declared_first: bool) -> None:
    names = ["BOT_TOKEN", "ANOTHER_NAME"]
    first, second = names if is_declared_first else reversed(names)
    services.set_secret(project_id=make_bot_project().pk, key=first, value=TOKEN)
    other = make_bot_project()

    with pytest.raises(services.BotTokenTaken):
        services.set_secret(project_id=other.pk, key=second, value=f"{TOKEN}\n")

    assert selectors.list_secret_keys(project_id=other.pk) == []


def test_a_bot_that_was_stored_as_a_mere_text_is_taken_too() -> None:
    make_secret(key="SITE", value=TOKEN, digest=digest_of(TOKEN))

    with pytest.raises(services.BotTokenTaken):
        services.set_secret(project_id=make_bot_project().pk, key="BOT_TOKEN", value=TOKEN)


@pytest.mark.parametrize("key", ["BOT_TOKEN", "ANOTHER_NAME"])
def test_the_bot_of_the_installation_works_for_no_project(settings: Any, key: str) -> None:
    settings.TELEGRAM_BOT_TOKEN = TOKEN

    with pytest.raises(services.OwnBotToken) as refused:
        services.set_secret(project_id=make_bot_project().pk, key=key, value=f" {TOKEN}")

    assert list(refused.value.details) == ["value"]
    assert TOKEN not in f"{refused.value} {refused.value.details}"
    assert not ProjectSecret.objects.exists()


def test_a_bot_that_was_given_up_may_work_elsewhere() -> None:
    first, second = make_bot_project(), make_bot_project()
    services.set_secret(project_id=first.pk, key="BOT_TOKEN", value=TOKEN)
    services.delete_secret(project_id=first.pk, key="BOT_TOKEN")

    services.set_secret(project_id=second.pk, key="BOT_TOKEN", value=TOKEN)

    assert selectors.list_secret_keys(project_id=second.pk) == ["BOT_TOKEN"]


def test_the_same_text_in_two_projects_is_nobodys_business() -> None:
    first, second = make_bot_project(), make_bot_project()

    for project in (first, second):
        services.set_secret(project_id=project.pk, key="SITE", value="https://example.com")

    assert ProjectSecret.objects.count() == 2


def test_a_secret_is_generated_once_and_never_again() -> None:
    project = make_bot_project()
    entries = [Entry(key="SIGNING_KEY", source="generated_secret", bytes=24)]
    services.generate_secrets(project_id=project.pk, entries=entries)
    first = selectors.known_secrets(project_id=project.pk)["SIGNING_KEY"]

    services.generate_secrets(project_id=project.pk, entries=entries)

    assert selectors.known_secrets(project_id=project.pk)["SIGNING_KEY"] == first
    assert len(first.value or "") == 48
    assert ProjectSecret.objects.get().source == SecretSource.GENERATED


def test_a_new_value_has_to_be_stored_at_the_git_host_again() -> None:
    secret = make_secret(key="SITE", value="", stored_at="2026-01-01T00:00:00Z")

    services.set_secret(project_id=secret.project_id, key="SITE", value="https://example.com")

    assert ProjectSecret.objects.get().stored_at is None


def test_a_value_over_what_the_git_host_takes_is_refused_before_it_is_asked() -> None:
    project = make_project(forge="github")

    with pytest.raises(Invalid) as refused:
        services.set_secret(project_id=project.pk, key="SITE", value="x" * 49_153)

    assert "git host" in refused.value.message


def test_presence_is_told_without_reading_a_value() -> None:
    secret = make_secret(key="SITE", value="sesame")

    (told,) = selectors.list_secrets(project_id=secret.project_id)

    assert "value" not in told.__dict__


def test_generated_values_are_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    project = make_bot_project()

    services.generate_secrets(
        project_id=project.pk, entries=[Entry(key="SIGNING_KEY", source="generated_secret")]
    )

    value = selectors.known_secrets(project_id=project.pk)["SIGNING_KEY"].value
    assert "SIGNING_KEY" in caplog.text
    assert str(value) not in caplog.text
