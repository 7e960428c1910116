"""Every page of the admin as a whole; what single pages do is tested beside their apps."""

from datetime import timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation
from django.utils.html import escape, strip_tags

from apps import admin_display
from apps.admin_base import HistoryAdmin
from apps.bot import troubles
from apps.infra import incidents
from apps.lifecycle import Lifecycle
from apps.projects.models import PersonalToken
from apps.roles import Role
from orchestrator.dashboard import NAVIGATION
from orchestrator.embedded.processes import free_port
from tests.admin_rows import (
    ENVIRONMENT_VALUE,
    MARKUP,
    SECRET_VALUE,
    WORKER_VALUE,
    Story,
    failure,
    list_of,
    make_dead_letter,
    make_question,
    operator,
    page_of,
)
from tests.bulk_rows import multiply
from tests.factories import (
    make_deployment,
    make_project,
    make_run,
    make_task,
    make_turn,
    make_user,
    make_worker,
)

pytestmark = [pytest.mark.service, pytest.mark.django_db]

NUMBERS = count(1_000_000)
admin.autodiscover()
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
HISTORY = [model for model in MODELS if isinstance(admin.site._registry[model], HistoryAdmin)]
NAMES = [model._meta.label for model in MODELS]
#: Buttons that lead to a page of their own, which asks.
LEADING_TO_A_FORM = {("project", "ask"), ("server", "reinstall")}
#: Who may come in is an owner's business.
PEOPLE = {"projects.User", "projects.Invitation", "projects.PersonalToken"}


@pytest.fixture
def client() -> Client:
    """The browser of a person who may do everything."""
    browser = Client()
    browser.force_login(operator())
    return browser


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_list_without_rows_is_shown(client: Client, model: type[models.Model]) -> None:
    response = client.get(list_of(model))

    assert response.status_code == 200


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_list_with_rows_is_shown_and_searched(client: Client, model: type[models.Model]) -> None:
    Story()

    responses = [client.get(list_of(model) + query) for query in ("", "?q=book", "?q=1234abcd", "?q=%00")]

    assert [response.status_code for response in responses[:3]] == [200, 200, 200]
    assert responses[3].status_code < 500
    assert MARKUP not in responses[0].content.decode()


def test_every_detail_page_escapes_the_words_of_others_and_keeps_secrets(client: Client) -> None:
    story = Story()

    for row in story.rows():
        response = client.get(page_of(row))
        text = response.content.decode()

        assert response.status_code == 200, row
        assert MARKUP not in text, row
        for secret in (SECRET_VALUE, ENVIRONMENT_VALUE, WORKER_VALUE):
            assert secret not in text, row


def test_every_registered_model_has_a_row_in_the_story(client: Client) -> None:
    covered = {type(row)._meta.label for row in Story().rows()}

    # Tokens have a list only.
    assert covered == set(NAMES) - {"projects.PersonalToken"}


@pytest.mark.parametrize(
    ("model", "page"),
    [
        pytest.param(model, page, id=f"{model._meta.label} {page}")
        for model in HISTORY
        for page in ("add", "change", "delete")
        # Work is asked for by a form of its own.
        if (model._meta.label, page) != ("projects.Task", "add")
    ],
)
def test_history_is_changed_by_no_post(client: Client, model: type[models.Model], page: str) -> None:
    row = next(row for row in Story().rows() if isinstance(row, model))
    before = model._default_manager.filter(pk=row.pk).values().get()
    address = list_of(model) + "add/" if page == "add" else page_of(row, page)

    response = client.post(address, {"status": "failed", "post": "yes"})

    assert response.status_code == 403
    assert model._default_manager.filter(pk=row.pk).values().get() == before


def test_models_with_a_status_are_history_or_are_written_by_services() -> None:
    editable = {model._meta.label for model in MODELS if issubclass(model, Lifecycle)} - {
        model._meta.label for model in HISTORY
    }

    assert editable == {"projects.Project", "infra.Server"}


def test_every_status_has_a_color() -> None:
    statuses = {status for model in MODELS if issubclass(model, Lifecycle) for status in model.TRANSITIONS}

    assert statuses <= set(admin_display.STATUS_COLORS)


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_operators_see_everything_but_people(model: type[models.Model]) -> None:
    browser = Client()
    browser.force_login(make_user(role=Role.OPERATOR))

    response = browser.get(list_of(model))

    assert response.status_code == (403 if model._meta.label in PEOPLE else 200)


@pytest.mark.parametrize("address", ["/admin/", "/admin/projects/task/", "/admin/workers/worker/"])
def test_people_who_are_not_staff_are_sent_to_the_login_page(address: str) -> None:
    browser = Client()
    browser.force_login(make_user())

    response = browser.get(address)

    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/")


def test_first_page_counts_and_lists_what_matters(client: Client) -> None:
    make_task(status="running", spec="a shop with orders")
    make_task(status="failed", spec="broken one", failure=failure(), finished_at=timezone.now())
    make_worker(status="running")
    make_dead_letter()
    make_question(run=make_run(task=make_task(status="succeeded"), status="succeeded"))
    make_deployment(status="live", url="http://127.0.0.1:21077", live_at=timezone.now())

    response = client.get("/admin/")
    counts = {str(figure.title): figure.count for figure in response.context["figures"]}

    assert counts == {
        "Unfinished tasks": 1,
        "Active workers": 1,
        "Open questions": 1,
        "Live deployments": 1,
        "Open incidents": 0,
        "Open troubles": 0,
        "Open dead letters": 1,
        "Failed in 24 hours": 1,
    }
    assert "http://127.0.0.1:21077" in response.content.decode()


def test_figures_lead_to_the_lists_they_count(client: Client) -> None:
    make_task(status="running")
    make_task(status="failed", failure=failure(), finished_at=timezone.now())
    make_task(status="failed", failure=failure(), finished_at=timezone.now() - timedelta(days=2))
    make_worker(status="running")
    make_worker(status="crashed")

    for figure in client.get("/admin/").context["figures"]:
        response = client.get(figure.address)

        assert response.status_code == 200
        assert response.context["cl"].result_count == figure.count, figure.title


def test_first_page_needs_the_same_queries_for_one_row_and_for_many(
    client: Client, django_assert_max_num_queries: Any
) -> None:
    for _ in range(12):
        make_run(task=make_task(status="running"), status="waiting", waiting_for=f"worker:{uuid4()}")
        make_deployment(status="live")
        make_dead_letter()
        make_question()
        troubles.report(key=uuid4().hex, code="x", message="x")
        incidents.report(kind="x", subject=uuid4().hex, message="x")

    with django_assert_max_num_queries(28):
        response = client.get("/admin/")

    assert response.status_code == 200


def table(response: Any, title: str) -> list[list[str]]:
    """The rows of one table of the first page, as words."""
    sections = [*response.context["sections"], *response.context["gauges"]]
    found = [section for section in sections if str(section.title) == title]
    return [[strip_tags(str(cell)).strip() for cell in row] for section in found for row in section.rows]


def test_first_page_says_what_waits_for_whom(client: Client) -> None:
    kinds = {"question": "a person", "turn": "the agent", "verification": "the system"}
    for kind in kinds:
        make_run(
            task=make_task(status="running", spec=kind), status="waiting", waiting_for=f"{kind}:{uuid4()}"
        )

    response = client.get("/admin/")

    assert {row[3]: row[5] for row in table(response, "Unfinished tasks")} == kinds


def test_first_page_asks_what_people_are_asked(client: Client) -> None:
    question = make_question(text="Which color?")

    response = client.get("/admin/")

    assert table(response, "Open questions")[0][0] == "Which color?"
    assert page_of(question) in response.content.decode()


def test_first_page_shows_what_needs_a_look(client: Client) -> None:
    make_dead_letter(reason="not JSON at all")
    make_worker(status="running", verdict="stalled", verdict_since=timezone.now())
    incidents.report(kind="disk_full", subject="server:7", message="The disk is at 91 %.")
    incidents.report(kind="down", subject="server:8", message="It does not answer.", severity="critical")
    incidents.report(kind="over", subject="server:9", message="This is over.")
    incidents.resolve(kind="over", subject="server:9")
    troubles.report(key="k", code="update_given_up", message="An update could not be handled.")

    response = client.get("/admin/")

    broken = ["It does not answer.", "The disk is at 91 %.", "An update could not be handled."]
    assert [row[1] for row in table(response, "Needs a look")] == [*broken, "Stalled", "not JSON at all"]
    figures = {str(figure.title): figure for figure in response.context["figures"]}
    counts = [figures[title].count for title in ("Open incidents", "Open troubles")]
    assert counts == [2, 1]
    assert client.get(figures["Open incidents"].address).context["cl"].result_count == 2
    assert client.get(figures["Open troubles"].address).context["cl"].result_count == 1


def test_what_nobody_told_is_no_data_and_not_zero(client: Client) -> None:
    make_turn(usage={"input_tokens": None, "output_tokens": None, "cost_usd": None})

    response = client.get("/admin/")

    values = {row[0]: row[1] for row in table(response, "Capacity, spend, freshness")}
    assert values["Spent in 24 hours"] == "no data"
    assert values["A worker's last heartbeat"] == "no data"
    assert values["Workers"].startswith("1 of ")


def test_spend_is_what_turns_told(client: Client) -> None:
    for cost in (1.25, 0.5, None):
        make_turn(usage={"input_tokens": 1_000, "output_tokens": 10, "cost_usd": cost})

    response = client.get("/admin/")

    values = {row[0]: row[1:] for row in table(response, "Capacity, spend, freshness")}
    assert values["Spent in 24 hours"] == ["1.75 USD", "2 of 3 turns told what they cost; tokens: 3030"]


def test_depth_of_queues_counts_every_priority(client: Client, settings: Any) -> None:
    broker = redis.Redis.from_url(settings.REDIS_URL)
    broker.rpush("graph", "one", "two")
    broker.rpush("graph\x06\x163", "three")

    response = client.get("/admin/")

    broker.delete("graph", "graph\x06\x163")
    assert ["graph", "3"] in table(response, "Queues")
    assert ["build", "0"] in table(response, "Queues")


def test_broker_that_does_not_answer_is_no_data(client: Client, settings: Any) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"

    response = client.get("/admin/")

    assert table(response, "Queues") == [["–", "no data"]]


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_lists_need_the_same_queries_for_one_row_and_for_many(
    client: Client, model: type[models.Model], django_assert_max_num_queries: Any
) -> None:
    for _ in range(4):
        Story()

    with django_assert_max_num_queries(12):
        response = client.get(list_of(model))

    assert response.status_code == 200


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_list_of_a_thousand_rows_needs_the_queries_of_ten(
    client: Client, model: type[models.Model], django_assert_num_queries: Any
) -> None:
    token = PersonalToken(digest="d", token_key="k", user=operator(), name="a token")
    row = next(row for row in (*Story().rows(), token) if isinstance(row, model))
    multiply(row, 10)
    client.get(list_of(model))
    with CaptureQueriesContext(connection) as ten:
        client.get(list_of(model))
    multiply(row, 1_000)

    with django_assert_num_queries(len(ten)):
        response = client.get(list_of(model))

    assert response.context["cl"].result_count > 1_000


def test_detail_pages_need_a_bounded_number_of_queries(
    client: Client, django_assert_max_num_queries: Any
) -> None:
    story = Story()

    for row in story.rows():
        with django_assert_max_num_queries(28):
            response = client.get(page_of(row))

        assert response.status_code == 200


def test_sidebar_names_only_what_the_person_may_see() -> None:
    browser = Client()
    browser.force_login(make_user(role=Role.OPERATOR))

    text = browser.get("/admin/").content.decode()

    assert 'href="/admin/projects/task/"' in text
    assert 'href="/admin/projects/user/"' not in text


def test_sidebar_speaks_the_readers_language(client: Client) -> None:
    with translation.override("ru"):
        titles = [str(title) for _group, items in NAVIGATION for title, _model, _icon in items]

    text = client.get("/admin/", headers={"accept-language": "ru"}).content.decode()

    assert all(title in text for title in titles)
    assert not any(title.isascii() for title in titles)


def test_pages_ask_nobody_outside(client: Client) -> None:
    story = Story()

    for row in [*story.rows(), make_project(repository_url="")]:
        text = client.get(page_of(row)).content.decode()

        assert 'src="http' not in text
        assert '<link href="http' not in text


def test_periodic_task_is_edited(client: Client) -> None:
    story = Story()
    form = client.get(page_of(story.periodic)).context["adminform"].form
    values = {name: _value(form[name].value()) for name in form.fields}

    response = client.post(page_of(story.periodic), {**values, "description": "slower", "enabled": ""})
    story.periodic.refresh_from_db()

    assert response.status_code == 302
    assert (story.periodic.description, story.periodic.enabled) == ("slower", False)


def test_every_button_asks_first_and_then_answers_with_a_page(client: Client) -> None:
    story = Story()
    buttons = [
        (row, name)
        for row in story.rows()
        for name in admin.site._registry[type(row)].actions_detail
        if (row._meta.model_name, name) not in LEADING_TO_A_FORM
    ]

    for row, name in buttons:
        address = page_of(row, name)
        asked = client.get(address)
        done = client.post(address, {"_form_submitted": "True"})

        assert (asked.status_code, done.status_code) == (200, 302), (row, name)
        assert "_form_submitted" in asked.content.decode(), (row, name)
    assert len(buttons) > 20


@pytest.mark.parametrize(("is_active", "offered"), [(True, "switch_off"), (False, "switch_on")])
def test_webhook_is_offered_the_switch_that_changes_something(
    client: Client, is_active: bool, offered: str
) -> None:
    webhook = Story().webhook
    type(webhook).objects.update(is_active=is_active)

    text = client.get(page_of(webhook)).content.decode()

    assert [name for name in ("switch_off", "switch_on") if f"/{name}/" in text] == [offered]


def test_failure_in_a_page_is_text(client: Client) -> None:
    story = Story()

    text = client.get(page_of(story.worker)).content.decode()

    assert escape(f"No commit {MARKUP}") in text


def _value(value: Any) -> Any:
    return "" if value is None else value


@pytest.mark.service
@pytest.mark.django_db
def test_signing_in_at_the_bare_login_page_leads_to_the_overview(client: Client) -> None:
    get_user_model().objects.create_superuser(username="first", password="first-password-1")

    answer = client.post("/admin/login/", {"username": "first", "password": "first-password-1"})

    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
