"""Pages of tasks and runs: the drawn timeline, and what their buttons do."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from apps.graph import selectors
from apps.graph.admin.runs import waiting_link
from apps.graph.models import Question, QuestionStatus, Run, RunStatus
from apps.projects.models import ProjectStatus, Task, TaskStatus
from apps.roles import Role
from tests.admin_rows import Story, failure, list_of, make_question, operator, page_of
from tests.factories import make_project, make_run, make_task, make_user

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


def ticked(action: str, *tasks: Task) -> dict[str, Any]:
    return {"action": action, "_selected_action": [str(task.pk) for task in tasks]}


# --- the page of a task ---


def test_timeline_shows_the_lines_of_the_card(client: Client) -> None:
    story = Story()
    card = selectors.get_card(task_id=story.task.pk)

    response = client.get(page_of(story.task))

    drawn = [(row.line.text, row.line.state) for row in response.context["timeline"]]
    assert drawn == [(line.text, line.state) for line in card.lines]
    assert len(drawn) > 8


def test_lines_lead_to_the_rows_that_prove_them(client: Client) -> None:
    story = Story()

    response = client.get(page_of(story.task))

    proofs = {row.line.kind: row.evidence for row in response.context["timeline"]}
    assert str(story.worker.pk) in proofs["worker_ready"]
    assert str(story.turn.pk) in proofs["turn_finished"]
    assert str(story.change.pk) in proofs["change_accepted"]
    assert str(story.verification.pk) in proofs["checks_passed"]
    assert str(story.change.pk) in proofs["merged"]
    assert str(story.deployment.pk) in proofs["starting"]
    assert str(story.deployment.pk) in proofs["deployed"]
    assert proofs["agent_progress"] == ""


def test_url_of_the_deployment_is_a_link(client: Client) -> None:
    story = Story()

    text = client.get(page_of(story.task)).content.decode()

    assert f'href="{story.deployment.url}"' in text


def test_url_that_is_no_web_address_is_no_link(client: Client) -> None:
    story = Story()
    story.follower.events.filter(kind="deployed").update(data={"url": "javascript:alert(1)"})

    text = client.get(page_of(story.task)).content.decode()

    assert 'href="javascript' not in text


def test_failed_task_shows_its_failure_in_a_box(client: Client) -> None:
    task = make_task(status=TaskStatus.FAILED, failure=failure())

    text = client.get(page_of(task)).content.decode()

    assert "orch-failure" in text
    assert "no_commit" in text


def test_card_of_an_unfinished_task_is_fetched_again_and_of_a_finished_one_is_not(client: Client) -> None:
    running, over = make_task(status=TaskStatus.RUNNING), make_task(status=TaskStatus.SUCCEEDED)

    answers = [client.get(page_of(task)).content.decode() for task in (running, over)]

    assert ['hx-select="#task-card"' in text for text in answers] == [True, False]


def test_page_that_follows_a_task_is_shown_anew_once_it_is_over(client: Client) -> None:
    running, over = make_task(status=TaskStatus.RUNNING), make_task(status=TaskStatus.SUCCEEDED)

    answers = [client.get(page_of(task), headers={"HX-Request": "true"}) for task in (running, over)]

    assert [answer.get("HX-Refresh") for answer in answers] == [None, "true"]


def test_status_is_that_of_the_deployment_that_follows(client: Client) -> None:
    task = make_task(status=TaskStatus.SUCCEEDED, deploy_after=True)
    make_task(project=task.project, type="deploy", spec="", follows=task, status=TaskStatus.RUNNING)

    response = client.get(page_of(task))

    assert "Running" in response.context["status_label"]


def test_card_speaks_the_readers_language(client: Client) -> None:
    story = Story()
    russian = selectors.get_card(task_id=story.task.pk, language="ru")

    response = client.get(page_of(story.task), headers={"accept-language": "ru"})

    assert [row.line.text for row in response.context["timeline"]] == [line.text for line in russian.lines]


# --- operations ---


def test_cancel_asks_first(client: Client) -> None:
    task = make_task()

    response = client.get(page_of(task, "cancel"))

    task.refresh_from_db()
    assert response.status_code == 200
    assert 'method="post"' in response.content.decode()
    assert task.status == TaskStatus.PENDING


def test_confirmed_cancel_cancels(client: Client) -> None:
    task = make_task()

    response = client.post(page_of(task, "cancel"), CONFIRMED)

    task.refresh_from_db()
    assert response["Location"] == page_of(task)
    assert said(response) == ["The task is being canceled."]
    assert task.status == TaskStatus.CANCELED


def test_dialog_is_left_through_htmx(client: Client) -> None:
    task = make_task()

    response = client.post(page_of(task, "cancel"), CONFIRMED, headers={"HX-Request": "true"})

    assert response["HX-Redirect"] == page_of(task)


def test_cancel_of_an_ended_task_is_refused_in_words(client: Client) -> None:
    task = make_task(status=TaskStatus.SUCCEEDED)

    response = client.post(page_of(task, "cancel"), CONFIRMED)

    assert response.status_code == 302
    assert "illegal_transition" in said(response)[0]


def test_operation_on_a_task_that_is_gone_answers_with_the_list(client: Client) -> None:
    for name in (str(uuid4()), "not-an-id"):
        response = client.post(f"{list_of(Task)}{name}/cancel/", CONFIRMED)

        assert response["Location"] == list_of(Task)
        assert said(response)


def test_start_starts_a_run(client: Client) -> None:
    task = make_task(project=make_project(status=ProjectStatus.ACTIVE))

    client.post(page_of(task, "start"), CONFIRMED)

    assert Run.objects.get(task=task).status == RunStatus.PENDING


def test_retry_leads_to_the_new_task(client: Client) -> None:
    task = make_task(status=TaskStatus.FAILED)

    response = client.post(page_of(task, "retry"), CONFIRMED)

    again = Task.objects.get(retry_of=task)
    assert response["Location"] == page_of(again)
    assert again.requested_by is not None
    assert again.requested_by.is_superuser


def test_retry_of_a_running_task_is_refused_in_words(client: Client) -> None:
    task = make_task(status=TaskStatus.RUNNING)

    response = client.post(page_of(task, "retry"), CONFIRMED)

    assert "not_retryable" in said(response)[0]


def test_ticked_tasks_are_canceled_and_a_refused_one_does_not_stop_the_others(client: Client) -> None:
    pending, other, ended = make_task(), make_task(), make_task(status=TaskStatus.FAILED)

    response = client.post(list_of(Task), ticked("cancel_selected", ended, pending, other))

    assert Task.objects.filter(status=TaskStatus.CANCELED).count() == 2
    words = said(response)
    assert "The task is being canceled. (2)" in words
    assert any(str(ended.pk) in line and "illegal_transition" in line for line in words)


def test_ticked_tasks_are_asked_again(client: Client) -> None:
    failed, crashed = make_task(status=TaskStatus.FAILED), make_task(status=TaskStatus.CRASHED)

    client.post(list_of(Task), ticked("retry_selected", failed, crashed))

    assert set(Task.objects.exclude(retry_of=None).values_list("retry_of", flat=True)) == {
        failed.pk,
        crashed.pk,
    }


def test_many_refusals_are_summed_up(client: Client) -> None:
    ended = [make_task(status=TaskStatus.SUCCEEDED) for _ in range(8)]

    response = client.post(list_of(Task), ticked("cancel_selected", *ended))

    assert len(said(response)) == 6
    assert said(response)[-1].startswith("3 more")


@pytest.mark.parametrize(
    ("status", "offered"),
    [
        (TaskStatus.PENDING, {"start", "cancel"}),
        (TaskStatus.RUNNING, {"cancel"}),
        (TaskStatus.CANCELING, set()),
        (TaskStatus.SUCCEEDED, set()),
        (TaskStatus.FAILED, {"retry"}),
        (TaskStatus.CRASHED, {"retry"}),
        (TaskStatus.CANCELED, {"retry"}),
    ],
)
def test_page_offers_what_the_status_allows(client: Client, status: str, offered: set[str]) -> None:
    task = make_task(status=status)

    text = client.get(page_of(task)).content.decode()

    assert {name for name in ("start", "cancel", "retry") if page_of(task, name) in text} == offered


def test_operation_leaves_a_trace_in_the_history(client: Client) -> None:
    task = make_task()

    client.post(page_of(task, "cancel"), CONFIRMED)

    assert "The task is being canceled." in client.get(page_of(task, "history")).content.decode()


@pytest.mark.parametrize("name", ["start", "cancel", "retry"])
@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
def test_only_those_who_run_the_installation_operate_here(name: str, role: Role) -> None:
    browser = Client()
    browser.force_login(make_user(role=role))
    task = make_task()

    by_button = browser.post(page_of(task, name), CONFIRMED)
    browser.post(list_of(Task), ticked("cancel_selected", task))

    task.refresh_from_db()
    assert by_button.status_code == 302
    assert by_button["Location"].startswith("/admin/login/")
    assert task.status == TaskStatus.PENDING


# --- the page of a run ---


def test_run_shows_its_steps_and_what_they_waited_for(client: Client) -> None:
    story = Story()

    text = client.get(page_of(story.run)).content.decode()

    assert all(f"node_{seq}" in text for seq in range(1, 5))
    assert page_of(story.worker) in text
    assert "unavailable:forge" in text


def test_waiting_for_something_without_a_page_is_shown_as_it_is() -> None:
    assert "unavailable:forge" in waiting_link("unavailable:forge")
    assert "href" not in waiting_link("unavailable:forge")


def test_task_shows_where_its_run_is_and_what_it_waits_for(client: Client) -> None:
    task = make_task(status=TaskStatus.RUNNING)
    worker = uuid4()
    make_run(task=task, status=RunStatus.WAITING, waiting_for=f"worker:{worker}")

    response = client.get(page_of(task))

    assert [picture.current for picture in response.context["pictures"]] == ["load"]
    assert str(worker) in response.context["waits"][0]
    assert 'data-stop="await_worker"' in response.content.decode()


# --- asking ---


def test_project_leads_to_the_form_of_a_new_task(client: Client) -> None:
    project = make_project(status=ProjectStatus.ACTIVE)

    response = client.get(page_of(project, "ask"), follow=True)

    form = response.context["adminform"].form
    assert form.initial["project"] == str(project.pk)
    assert form.initial["deploy_after"] is True


def test_asked_task_is_started_and_shown(client: Client) -> None:
    project = make_project(status=ProjectStatus.ACTIVE)

    words = {"project": str(project.pk), "spec": "a list of cars with color", "deploy_after": "on"}
    response = client.post(f"{list_of(Task)}add/", words)

    task = Task.objects.get(project=project)
    assert response["Location"] == page_of(task)
    assert (task.spec, task.deploy_after, task.status) == (words["spec"], True, TaskStatus.RUNNING)
    assert task.requested_by is not None
    assert Run.objects.get(task=task).status == RunStatus.PENDING


@pytest.mark.parametrize(
    ("status", "spec", "field"), [("active", "  ", "spec"), ("archived", "a list of cars", "project")]
)
def test_work_that_would_be_refused_is_refused_beside_its_field(
    client: Client, status: str, spec: str, field: str
) -> None:
    project = make_project(status=status)

    response = client.post(f"{list_of(Task)}add/", {"project": str(project.pk), "spec": spec})

    assert field in response.context["adminform"].form.errors
    assert not Task.objects.exists()


# --- answers ---


def answer_to(question: Question) -> str:
    return f"/admin/graph/question/{question.pk}/answer/"


def test_open_question_is_answered_on_the_page_of_its_task(client: Client) -> None:
    task = make_task(project=make_project(status=ProjectStatus.ACTIVE))
    question = make_question(run=make_run(task=task, status=RunStatus.WAITING), options=["blue", "red"])

    form = client.get(page_of(task)).context["answer_forms"][0]
    response = client.post(form.address, {"text": "red", "next": page_of(task)})

    question.refresh_from_db()
    assert response["Location"] == page_of(task)
    assert said(response) == ["The question was answered."]
    assert (question.status, question.answer) == (QuestionStatus.ANSWERED, "red")


def test_answer_that_is_no_option_is_refused_in_words(client: Client) -> None:
    question = make_question(options=["blue", "red"])

    response = client.post(answer_to(question), {"text": "green"})

    question.refresh_from_db()
    assert "none of the options" in said(response)[0]
    assert question.status == QuestionStatus.OPEN


def test_answer_that_is_a_secret_is_shown_nowhere(client: Client) -> None:
    task = make_task(project=make_project(status=ProjectStatus.ACTIVE))
    question = make_question(run=make_run(task=task), secret_key="API_KEY")

    asked = client.get(page_of(question)).content.decode()
    client.post(answer_to(question), {"text": "s3cret-of-mine"})

    assert 'type="password"' in asked
    pages = [page_of(task), page_of(question), page_of(question, "history"), page_of(task.project)]
    assert all("s3cret-of-mine" not in client.get(page).content.decode() for page in pages)


@pytest.mark.parametrize("page", ["https://elsewhere.example/", "//elsewhere.example/", ""])
def test_answer_leads_nowhere_else(client: Client, page: str) -> None:
    question = make_question(run=make_run(task=make_task(project=make_project(status=ProjectStatus.ACTIVE))))

    response = client.post(answer_to(question), {"text": "red", "next": page})

    assert response["Location"] == page_of(question)


def test_answer_is_given_by_post_only(client: Client) -> None:
    question = make_question()

    response = client.get(answer_to(question))

    assert response.status_code == 405


def test_closed_question_offers_no_form(client: Client) -> None:
    question = make_question(status=QuestionStatus.ANSWERED)

    response = client.get(page_of(question))

    assert response.context["answer_forms"] == []
