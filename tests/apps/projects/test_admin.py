"""Pages of projects, people and secrets: what their forms write, and what they never show."""

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from apps.projects.models import Project, ProjectSecret, ProjectStatus, User
from tests.admin_rows import SECRET_VALUE, list_of, operator, page_of
from tests.factories import make_project, make_secret, make_task, make_user

pytestmark = [pytest.mark.service, pytest.mark.django_db]

CONFIRMED = {"_form_submitted": "True"}


@pytest.fixture
def client() -> Client:
    """The browser of a person who may do everything."""
    browser = Client()
    browser.force_login(operator())
    return browser


def said(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def errors(response: Any) -> Any:
    return response.context["adminform"].form.errors


# --- projects ---


def test_project_is_added_as_a_draft(client: Client) -> None:
    owner = make_user()
    words = {"name": "Книги", "description": "an inventory", "modules": ["backend"], "owner": owner.pk}

    response = client.post(f"{list_of(Project)}add/", words)

    project = Project.objects.get(owner=owner)
    assert response.status_code == 302
    assert (project.name, project.status, project.modules) == ("Книги", ProjectStatus.DRAFT, ["backend"])
    assert project.slug


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("name", {"name": "a\u2028b"}),
        ("name", {"name": "x" * 10_000}),
        ("name", {"name": ""}),
        ("modules", {"modules": ["telepathy"]}),
        ("description", {"description": "bell \x07"}),
        ("owner", {"owner": "999999"}),
    ],
)
def test_bad_words_are_refused_beside_their_field(client: Client, field: str, words: dict[str, Any]) -> None:
    good = {"name": "Books", "description": "", "modules": ["backend"], "owner": make_user().pk}

    response = client.post(f"{list_of(Project)}add/", {**good, **words})

    assert response.status_code == 200
    assert field in errors(response)
    assert not Project.objects.exists()


def test_words_of_a_project_are_edited_and_its_slug_stays(client: Client) -> None:
    project = make_project(status=ProjectStatus.ACTIVE)

    response = client.post(page_of(project), {"name": "Other", "description": "new", "slug": "x"})

    slug = project.slug
    project.refresh_from_db()
    assert response.status_code == 302
    assert (project.name, project.description, project.slug) == ("Other", "new", slug)


def test_archived_project_is_not_edited(client: Client) -> None:
    project = make_project(status=ProjectStatus.ARCHIVED, name="Old")

    response = client.post(page_of(project), {"name": "Other", "description": ""})

    project.refresh_from_db()
    assert response.status_code == 403
    assert project.name == "Old"


def test_project_is_never_deleted(client: Client) -> None:
    project = make_project()

    response = client.post(page_of(project, "delete"), {"post": "yes"})

    assert response.status_code == 403
    assert Project.objects.filter(pk=project.pk).exists()


def test_repository_is_asked_for(client: Client) -> None:
    project = make_project()

    client.post(page_of(project, "scaffold"), CONFIRMED)

    project.refresh_from_db()
    assert project.status == ProjectStatus.SCAFFOLDING


def test_archiving_a_busy_project_is_refused_in_words(client: Client) -> None:
    task = make_task(status="running")

    response = client.post(page_of(task.project, "archive"), CONFIRMED)

    task.project.refresh_from_db()
    assert "project_busy" in said(response)[0]
    assert task.project.status == ProjectStatus.ACTIVE


def test_refusal_that_no_form_foresaw_becomes_a_message(client: Client) -> None:
    sleeper = make_user(is_active=False)
    words = {"name": "Books", "description": "", "modules": ["backend"], "owner": sleeper.pk}

    response = client.post(f"{list_of(Project)}add/", words)

    assert response.status_code == 302
    assert "invalid" in said(response)[0]
    assert not Project.objects.exists()


# --- secrets ---


def test_secret_is_written_and_never_shown(client: Client) -> None:
    project = make_project()
    words = {"project": project.pk, "key": "API_KEY", "new_value": SECRET_VALUE}

    response = client.post(f"{list_of(ProjectSecret)}add/", words, follow=True)
    secret = ProjectSecret.objects.get(project=project)
    pages = [page_of(secret), page_of(secret, "history"), list_of(ProjectSecret), page_of(project)]

    assert secret.value == SECRET_VALUE
    assert SECRET_VALUE not in response.content.decode()
    assert all(SECRET_VALUE not in client.get(page).content.decode() for page in pages)


def test_secret_gets_a_new_value_under_its_old_name(client: Client) -> None:
    secret = make_secret(key="API_KEY")

    client.post(page_of(secret), {"new_value": "another", "key": "OTHER"})

    secret.refresh_from_db()
    assert (secret.key, secret.value) == ("API_KEY", "another")


@pytest.mark.parametrize(
    ("field", "words"),
    [("key", {"key": "PATH"}), ("key", {"key": "lower"}), ("new_value", {"new_value": "x" * 70_000})],
)
def test_bad_secret_is_refused_beside_its_field_without_its_value(
    client: Client, field: str, words: dict[str, str]
) -> None:
    good = {"project": make_project().pk, "key": "API_KEY", "new_value": SECRET_VALUE}

    response = client.post(f"{list_of(ProjectSecret)}add/", {**good, **words})

    assert field in errors(response)
    assert SECRET_VALUE not in response.content.decode()
    assert not ProjectSecret.objects.exists()


def test_secret_that_exists_is_not_added_again(client: Client) -> None:
    secret = make_secret(key="API_KEY", value="first")
    words = {"project": secret.project_id, "key": "API_KEY", "new_value": "second"}

    response = client.post(f"{list_of(ProjectSecret)}add/", words)

    secret.refresh_from_db()
    assert response.status_code == 200
    assert secret.value == "first"


def test_secret_is_deleted(client: Client) -> None:
    secret = make_secret()

    client.post(page_of(secret, "delete"), {"post": "yes"})

    assert not ProjectSecret.objects.filter(pk=secret.pk).exists()


# --- people ---


def test_person_is_added_with_a_password(client: Client) -> None:
    words = {
        "username": "maria",
        "usable_password": "true",
        "password1": "correct horse battery",
        "password2": "correct horse battery",
    }

    response = client.post(f"{list_of(User)}add/", words)

    assert response.status_code == 302
    assert User.objects.get(username="maria").check_password("correct horse battery")


def test_person_with_projects_is_not_deleted(client: Client) -> None:
    project = make_project()

    client.post(page_of(project.owner, "delete"), {"post": "yes"})

    assert User.objects.filter(pk=project.owner_id).exists()
