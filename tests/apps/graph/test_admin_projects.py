"""The page of a project: what runs of it, where it answers, what it cost, and what it asks."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils.html import strip_tags

from apps.graph.models import Question, QuestionStatus, Run
from apps.projects.models import ProjectStatus, Task
from tests.admin_rows import failure, make_question, operator, page_of
from tests.factories import make_deployment, make_project, make_run, make_secret, make_task, make_turn

pytestmark = [pytest.mark.service, pytest.mark.django_db]


@pytest.fixture
def client() -> Client:
    """The browser of a person who may do everything."""
    browser = Client()
    browser.force_login(operator())
    return browser


def rows_of(response: Any, title: str) -> list[list[str]]:
    found = [section for section in response.context["tables"] if str(section.title) == title]
    return [[strip_tags(str(cell)).strip() for cell in row] for section in found for row in section.rows]


def test_what_runs_is_told_with_whose_move_it_is(client: Client) -> None:
    project = make_project(status=ProjectStatus.ACTIVE)
    task = make_task(project=project, status="running", spec="an order form")
    make_run(task=task, status="waiting", waiting_for=f"turn:{uuid4()}")
    make_task(project=project, status="succeeded", spec="done long ago")

    response = client.get(page_of(project))

    ((short, status, asked, waits, move, _since),) = rows_of(response, "Unfinished tasks")
    assert (short, status, asked, move) == (str(task.pk)[:8], "Running", "an order form", "the agent")
    assert waits.startswith("turn ")
    assert {row[3] for row in rows_of(response, "Tasks")} == {"an order form", "done long ago"}


def test_page_follows_what_runs_and_rests_when_nothing_does(client: Client) -> None:
    calm, busy = make_project(status=ProjectStatus.ACTIVE), make_project(status=ProjectStatus.ACTIVE)
    make_task(project=busy, status="running")

    pages = [client.get(page_of(project)).content.decode() for project in (calm, busy)]

    assert ['hx-select="#project-card"' in page for page in pages] == [False, True]


def test_addresses_are_those_of_what_answers_now(client: Client) -> None:
    project = make_project(status=ProjectStatus.ACTIVE)
    make_deployment(project_id=project.pk, status="live", url="http://127.0.0.1:21080")
    make_deployment(project_id=project.pk, status="stopped", url="http://127.0.0.1:21081")
    make_deployment(project_id=project.pk, status="failed", failure=failure())
    make_deployment(status="live", url="http://127.0.0.1:21082")

    response = client.get(page_of(project))

    text = response.content.decode()
    assert "http://127.0.0.1:21080" in "".join(response.context["urls"])
    assert not any(address in text for address in ("127.0.0.1:21081", "127.0.0.1:21082"))
    assert [row[1] for row in rows_of(response, "Deployments")] == ["Live", "Failed", "Stopped"]


def test_nothing_that_answers_is_said(client: Client) -> None:
    response = client.get(page_of(make_project(status=ProjectStatus.ACTIVE)))

    assert "nothing answers" in response.content.decode()


def test_spend_is_what_its_turns_told_and_no_data_is_not_zero(client: Client) -> None:
    told, silent = make_project(), make_project()
    make_turn(project_id=told.pk, usage={"cost_usd": 1.5, "input_tokens": 1_000, "output_tokens": 20})
    make_turn(project_id=silent.pk, usage={"cost_usd": None})

    values = [
        [value for value, _name in client.get(page_of(one)).context["figures"]] for one in (told, silent)
    ]

    assert values == [["0", "1.50 USD", "1020"], ["0", "no data", "no data"]]


def test_open_question_is_answered_on_the_page_of_its_project(client: Client) -> None:
    project = make_project(status=ProjectStatus.ACTIVE)
    run: Run = make_run(task=make_task(project=project, status="running"), status="waiting")
    question: Question = make_question(run=run, text="Which color?")
    page = page_of(project)
    assert "Which color?" in client.get(page).content.decode()

    response = client.post(f"/admin/graph/question/{question.pk}/answer/", {"text": "red", "next": page})

    question.refresh_from_db()
    assert (response.status_code, response["Location"]) == (302, page)
    assert question.status == QuestionStatus.ANSWERED


def test_secrets_are_named_and_never_shown(client: Client) -> None:
    project = make_project()
    make_secret(project=project, key="API_KEY", value="sesame-open-7431")

    response = client.get(page_of(project))

    assert [row[0] for row in rows_of(response, "Secrets")] == ["API_KEY"]
    assert "sesame-open-7431" not in response.content.decode()


def test_deployment_is_asked_for_after_it_was_said_what_it_does(client: Client) -> None:
    project = make_project(status=ProjectStatus.ACTIVE)
    address = f"{page_of(project)}deploy/".replace("/change/", "/")
    dialog = client.get(address).content.decode()

    response = client.post(address, {"_form_submitted": "True"})

    task = Task.objects.get(project=project)
    assert "What answers now is replaced" in dialog
    assert (task.type, response["Location"]) == ("deploy", page_of(task))


def test_page_needs_the_same_queries_for_much_as_for_little(
    client: Client, django_assert_max_num_queries: Any
) -> None:
    project = make_project(status=ProjectStatus.ACTIVE)
    for number in range(12):
        task = make_task(project=project, status="running")
        run = make_run(task=task, status="waiting", waiting_for=f"turn:{uuid4()}")
        make_question(run=run)
        make_deployment(project_id=project.pk, status="stopped", service_name=f"part-{number}")

    with django_assert_max_num_queries(20):
        response = client.get(page_of(project))

    assert response.status_code == 200
