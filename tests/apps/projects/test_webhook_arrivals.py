"""Webhooks as they come over the wire: many, doubled, late, forged; with a host that takes its time."""

import json
import statistics
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.projects.models import MergeRequest
from tests.factories import make_merge_request, make_project, make_task
from tests.github_server.server import github_server
from tests.github_server.state import Repository
from tests.github_server.webhooks import Delivery
from tests.github_server.world import GitHub

pytestmark = [pytest.mark.service, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]

SHA = "a" * 40
#: The bar is 0.5 s on a quiet machine; `make bench` judges it.
PATIENCE_SECONDS = 1.5


@pytest.fixture
def github(settings: Any, live_server: Any) -> Iterator[GitHub]:
    """A host that calls us, and answers nobody within half a minute."""
    with github_server() as github:
        settings.GITHUB_WEBHOOK_SECRET = github.webhooks.secret
        settings.GITHUB_API_BASE_URL = github.url
        github.stage.delay_seconds = 30
        github.webhooks.url = f"{live_server.url}/webhooks/github"
        yield github
        github.webhooks.url = ""


@pytest.fixture
def repository(github: GitHub) -> Repository:
    return github.create_repository("books")


@pytest.fixture
def change(repository: Repository) -> MergeRequest:
    """A change whose checks are looked at in an hour."""
    project = make_project(forge="github", repository_id=str(repository.id), status="active")
    later = timezone.now() + timedelta(hours=1)
    task = make_task(project=project)
    return make_merge_request(task=task, status="proposed", head_sha=SHA, pull_request=1, poll_at=later)


def send(github: GitHub, repository: Repository, *, times: int = 1) -> list[Delivery]:
    """Let the host tell of checks and wait for the answers."""
    begun = len(github.webhooks.deliveries)
    for number in range(times):
        payload = {"action": "completed", "check_run": {"id": number, "head_sha": SHA}}
        github.webhooks.send("check_run", payload, repository)
    github.webhooks.wait(60)
    return github.webhooks.deliveries[begun:]


def words(deliveries: list[Delivery]) -> list[str]:
    return sorted(delivery.answer.get("status", "") for delivery in deliveries)


def is_hastened(change: MergeRequest) -> bool:
    poll_at = change.reload().poll_at
    return poll_at is not None and poll_at <= timezone.now()


def test_news_are_answered_at_once_though_the_host_is_slow(
    github: GitHub, repository: Repository, change: MergeRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    send(github, repository)

    deliveries = [delivery for _ in range(20) for delivery in send(github, repository)]

    seconds = [delivery.seconds for delivery in deliveries]
    with capsys.disabled():
        figures = {"deliveries": len(seconds), "median": statistics.median(seconds), "slowest": max(seconds)}
        print(f" webhook {json.dumps({key: round(value, 4) for key, value in figures.items()})}")
    assert {delivery.status for delivery in deliveries} == {202}
    assert max(seconds) < PATIENCE_SECONDS
    assert is_hastened(change)


@pytest.mark.parametrize("switch", ["is_doubled", "is_repeated"])
def test_what_is_told_twice_counts_once(
    switch: str, github: GitHub, repository: Repository, change: MergeRequest
) -> None:
    setattr(github.webhooks, switch, True)

    deliveries = send(github, repository)

    assert [delivery.status for delivery in deliveries] == [202, 202]
    assert words(deliveries) == ["accepted", "duplicate"]
    assert is_hastened(change)


def test_late_news_still_count(github: GitHub, repository: Repository, change: MergeRequest) -> None:
    github.webhooks.delay_seconds = 0.3

    deliveries = send(github, repository)

    assert words(deliveries) == ["accepted"]
    assert is_hastened(change)


def test_late_news_of_what_has_ended_change_nothing(
    github: GitHub, repository: Repository, change: MergeRequest
) -> None:
    MergeRequest.objects.filter(pk=change.pk).update(status="merged")

    deliveries = send(github, repository)

    assert words(deliveries) == ["ignored"]
    assert not is_hastened(change)


def test_forged_news_get_no_further_than_their_signature(
    github: GitHub, repository: Repository, change: MergeRequest
) -> None:
    github.webhooks.is_forged = True

    deliveries = send(github, repository)

    assert [delivery.status for delivery in deliveries] == [401]
    assert not is_hastened(change)
