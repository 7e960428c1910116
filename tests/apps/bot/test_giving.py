"""Whoever describes a bot gets one of the pool, and is asked nothing; Telegram's double vouches for them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.bot import chat_tasks, pool
from apps.bot.models import Delivery, Trouble
from apps.graph.models import Question, QuestionStatus
from apps.infra.models import ServiceDeployment
from apps.projects.models import Project, ProjectSecret, Task
from apps.projects.services import archive_project
from tests.apps.bot.updates import somebody
from tests.factories import MANIFEST, make_deployment, make_project, make_run, make_task
from tests.telegram_server import TelegramServer

pytestmark = [pytest.mark.service, pytest.mark.django_db]

MANIFEST_OF_A_BOT = {
    **MANIFEST,
    "environment": [{"key": "BOT_TOKEN", "source": "user_secret", "format": "telegram_bot_token"}],
}


class Stage:
    """A person, Telegram with two bots, and a pool of them."""

    def __init__(self, telegram: TelegramServer, settings: Any) -> None:
        self.phone, self.user = somebody()
        self.bots = [telegram.add_bot(username="first_bot"), telegram.add_bot(username="second_bot")]
        settings.TELEGRAM_API_BASE_URL = telegram.url
        settings.TELEGRAM_BOT_TOKENS_POOL = [bot.token for bot in self.bots]

    def ask(self, project: Project) -> Question:
        """Have a project's deployment ask for its bot."""
        question = Question.objects.create(
            idempotency_key=f"question-{project.pk}",
            run=make_run(task=make_task(project=project, status="running")),
            text="A value is needed.",
            secret_key="BOT_TOKEN",
            deadline_at=timezone.now() + timedelta(hours=1),
        )
        for _ in range(2):  # a hint, and the sweep that repeats it
            chat_tasks.show_question(question_id=str(question.pk))
        return question.reload()

    def project(self) -> Project:
        return make_project(owner=self.user, status="active", manifest=MANIFEST_OF_A_BOT, name="Jokes")


@pytest.fixture
def telegram() -> Iterator[TelegramServer]:
    with TelegramServer() as server:
        yield server


@pytest.fixture
def stage(db: None, telegram: TelegramServer, settings: Any) -> Stage:
    return Stage(telegram, settings)


def token_of(project: Project) -> str | None:
    return ProjectSecret.objects.filter(project=project).values_list("value", flat=True).first()


def test_project_gets_a_bot_without_a_question(stage: Stage):
    project = stage.project()

    question = stage.ask(project)

    (told,) = stage.phone.texts()
    assert question.status == QuestionStatus.ANSWERED
    assert token_of(project) == stage.bots[0].token
    assert "@first_bot" in told
    assert not any(bot.token in str(row.payload) for bot in stage.bots for row in Delivery.objects.all())


def test_two_projects_never_share_one_and_the_third_is_asked(stage: Stage):
    projects = [stage.project() for _ in range(3)]

    statuses = [stage.ask(project).status for project in projects]

    tokens = [token_of(project) for project in projects]
    assert tokens == [*(bot.token for bot in stage.bots), None]
    assert statuses == [QuestionStatus.ANSWERED, QuestionStatus.ANSWERED, QuestionStatus.OPEN]
    assert list(stage.phone.buttons()) == ["Give the value"]


def test_bot_that_telegram_does_not_know_is_passed_over(stage: Stage, telegram: TelegramServer):
    del telegram.bots[stage.bots[0].token]
    project = stage.project()

    stage.ask(project)

    assert token_of(project) == stage.bots[1].token


def test_dead_bots_at_the_head_of_the_pool_do_not_block_it(
    stage: Stage, telegram: TelegramServer, settings: Any
):
    dead = [f"1234567{number}:" + "A" * 35 for number in range(3)]
    settings.TELEGRAM_BOT_TOKENS_POOL = [*dead, stage.bots[0].token, stage.bots[1].token]
    projects = [stage.project(), stage.project()]

    for project in projects:
        stage.ask(project)

    troubles = list(Trouble.objects.order_by("pk"))
    assert [token_of(project) for project in projects] == [bot.token for bot in stage.bots]
    assert [(one.code, one.times) for one in troubles] == [("pool_token_refused", 1)] * 3
    assert "no. 2 of TELEGRAM_BOT_TOKENS_POOL" in troubles[1].message
    assert not any(token in f"{one.key} {one.message}" for token in dead for one in troubles)


def test_refused_bot_is_asked_about_again_after_an_hour_and_its_trouble_ends(
    stage: Stage, telegram: TelegramServer
):
    bot = telegram.bots.pop(stage.bots[0].token)
    stage.ask(stage.project())
    at_once = pool.free_tokens()
    telegram.bots[bot.token] = bot
    Trouble.objects.update(last_at=timezone.now() - timedelta(hours=1))
    project = stage.project()

    stage.ask(project)

    assert at_once == []
    assert token_of(project) == bot.token
    assert not Trouble.objects.filter(resolved_at=None).exists()


def test_silence_of_telegram_leaves_the_question_with_both_buttons(stage: Stage, settings: Any):
    settings.TELEGRAM_API_BASE_URL = "http://127.0.0.1:1"

    question = stage.ask(stage.project())

    assert question.status == QuestionStatus.OPEN
    assert list(stage.phone.buttons()) == ["Give the value", "Take a bot from the pool"]


def test_bot_comes_back_when_its_project_was_put_away_and_nothing_of_it_runs(stage: Stage, settings: Any):
    settings.TELEGRAM_BOT_TOKENS_POOL = [stage.bots[0].token]
    earlier, later = stage.project(), stage.project()
    stage.ask(earlier)
    Task.objects.filter(project=earlier).update(status="succeeded", finished_at=timezone.now())
    make_deployment(project_id=earlier.pk, status="live")
    archive_project(project_id=earlier.pk)
    while_it_runs = pool.free_tokens()
    ServiceDeployment.objects.update(status="stopped", finished_at=timezone.now())

    stage.ask(later)

    assert while_it_runs == []
    assert (token_of(earlier), token_of(later)) == (None, stage.bots[0].token)


def test_secret_that_is_no_bot_is_asked_for(stage: Stage):
    manifest = {**MANIFEST, "environment": [{"key": "BOT_TOKEN", "source": "user_secret"}]}

    question = stage.ask(make_project(owner=stage.user, status="active", manifest=manifest))

    assert question.status == QuestionStatus.OPEN
