"""A project that lives on GitHub: its pull requests, the host's checks, and what a person does there."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.data.sentences import SENTENCES
from tests.github_server import git_store
from tests.journeys.github_world import GitHubWorld, running_on_github
from tests.journeys.world import eventually
from worker_image.cli.task_commands import begin

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

BOOKS, MATCHES, LINKS, CANCELED, CLOSED = SENTENCES[:5]
#: The bar is 0.5 s, on a machine that does nothing else.
PATIENCE_SECONDS = 2.0


@pytest.fixture(scope="module")
def hosted() -> Iterator[GitHubWorld]:
    with running_on_github() as started:
        yield started


@pytest.fixture(scope="module")
def project_id(hosted: GitHubWorld) -> str:
    return str(hosted.start_project("Books on GitHub")["id"])


def work(hosted: GitHubWorld, project_id: str, sentence: str) -> str:
    """Start a task; returns its id."""
    return str(begin(hosted.world.api, project_id=project_id, type="engineering", spec=sentence)["id"])


@pytest.fixture(scope="module")
def repaired(hosted: GitHubWorld, project_id: str) -> dict[str, Any]:
    """A task whose first commit fails at the host alone, of which all news come late and twice."""
    webhooks = hosted.github.webhooks
    webhooks.is_doubled, webhooks.delay_seconds = True, 0.5
    try:
        task_id = work(hosted, project_id, f"{BOOKS.text}\nrehearsal: break-host-checks-once")
        card = hosted.world.wait(task_id, seconds=400)
    finally:
        webhooks.is_doubled, webhooks.delay_seconds = False, 0.0
    webhooks.wait()
    return {"id": task_id, "card": card, "news": list(webhooks.deliveries)}


def test_red_checks_of_the_host_go_back_to_the_agent_and_green_ones_are_merged(
    hosted: GitHubWorld, repaired: dict[str, Any]
) -> None:
    assert repaired["card"]["status"] == "completed", repaired["card"]["failure"]
    first, second = hosted.changes(repaired["id"])
    kinds = hosted.world.kinds(repaired["id"])
    assert (first["status"], second["status"]) == ("refused", "merged")
    assert first["failure"]["code"] == "host_checks_failed"
    assert (first["checks"]["job"], first["checks"]["step"]) == ("check", "Check")
    assert "test_rehearsal_was_told_to_break_there" in first["checks"]["excerpt"]
    assert (kinds.count("rework"), kinds.count("checks_failed")) == (1, 0)
    assert kinds.index("host_checks_failed") < kinds.index("rework") < kinds.index("host_checks_passed")


def test_news_are_answered_at_once_and_those_that_come_twice_count_once(repaired: dict[str, Any]) -> None:
    news = repaired["news"]
    answers = [delivery.answer.get("status") for delivery in news]

    assert {delivery.status for delivery in news} == {202}
    assert max(delivery.seconds for delivery in news) < PATIENCE_SECONDS
    assert answers.count("accepted") == answers.count("duplicate") > 0


def test_the_host_holds_a_protected_repository_and_one_merged_pull_request(
    hosted: GitHubWorld, project_id: str, repaired: dict[str, Any]
) -> None:
    repository = hosted.repository(project_id)
    _, merged = hosted.changes(repaired["id"])

    (pull,) = repository.pulls
    assert "main" in repository.protection
    assert (pull.number, pull.merge_sha) == (merged["pull_request"], merged["merge_sha"])
    assert merged["head_sha"] in pull.body
    assert "tests passed" in pull.body
    assert hosted.world.api.get(f"/api/projects/{project_id}/")["head_sha"] == merged["merge_sha"]


def test_the_card_leads_to_the_pull_request_and_to_the_checks(
    hosted: GitHubWorld, project_id: str, repaired: dict[str, Any]
) -> None:
    lines = {line["kind"]: line["text"] for line in repaired["card"]["lines"]}
    _, merged = hosted.changes(repaired["id"])

    assert merged["pull_request_url"] in lines["pull_request_opened"]
    assert "Check" in lines["host_checks_failed"]
    assert merged["checks"]["url"] in lines["host_checks_passed"]


def test_two_tasks_at_once_are_merged_one_after_the_other_without_any_news(
    hosted: GitHubWorld, project_id: str, repaired: dict[str, Any]
) -> None:
    hosted.github.webhooks.is_lost = True
    try:
        tasks = [work(hosted, project_id, sentence.text) for sentence in (MATCHES, LINKS)]
        cards = [hosted.world.wait(task_id, seconds=500) for task_id in tasks]
    finally:
        hosted.github.webhooks.is_lost = False

    assert [card["status"] for card in cards] == ["completed"] * 2, [card["failure"] for card in cards]
    rebased = [change for task_id in tasks for change in hosted.changes(task_id) if change["rebase_of_id"]]
    assert [change["status"] for change in rebased] == ["merged"]
    assert sum(hosted.world.kinds(task_id).count("rebased") for task_id in tasks) == 1
    query = "SELECT count(*) FROM workers_worker WHERE task_id = ANY(%s::uuid[])"
    assert hosted.world.rows(query, tasks) == [(2,)]


def test_canceled_task_leaves_neither_a_pull_request_nor_a_branch(
    hosted: GitHubWorld, project_id: str
) -> None:
    hosted.github.stage.holds_runs = True
    try:
        task_id = work(hosted, project_id, CANCELED.text)
        assert hosted.world.reaches(task_id, "host_checks_started", seconds=240), hosted.world.logs()
        hosted.world.api.post(f"/api/tasks/{task_id}/cancel/")
        card = hosted.world.wait(task_id, seconds=60)
    finally:
        hosted.github.stage.holds_runs = False
    (change,) = hosted.changes(task_id)

    def is_tidy() -> bool:
        pull = hosted.pull(project_id, change["pull_request"])
        return pull.state == "closed" and pull.merged_at is None

    query = "SELECT tidied_at IS NOT NULL FROM projects_mergerequest WHERE task_id = %s"
    assert (card["status"], change["status"]) == ("cancelled", "canceled")
    assert eventually(is_tidy, seconds=30)
    assert eventually(lambda: hosted.world.rows(query, task_id) == [(True,)], seconds=30)
    assert change["branch"] not in hosted.heads(project_id)


def test_pull_request_that_a_person_closes_is_the_persons_no_though_all_news_are_forged(
    hosted: GitHubWorld, project_id: str
) -> None:
    webhooks, before = hosted.github.webhooks, len(hosted.github.webhooks.deliveries)
    hosted.github.stage.holds_runs = webhooks.is_forged = True
    try:
        task_id = work(hosted, project_id, CLOSED.text)
        assert hosted.world.reaches(task_id, "host_checks_started", seconds=240), hosted.world.logs()
        (change,) = hosted.changes(task_id)
        hosted.close_as_person(project_id, change["pull_request"])
        card = hosted.world.wait(task_id, seconds=60)
    finally:
        hosted.github.stage.holds_runs = webhooks.is_forged = False
    webhooks.wait()

    assert {delivery.status for delivery in webhooks.deliveries[before:]} == {401}
    assert card["status"] == "failed"
    assert (card["failure"]["code"], card["failure"]["kind"]) == ("pull_request_closed", "user")


def test_repository_of_a_stranger_is_left_alone_and_the_card_says_what_to_do(hosted: GitHubWorld) -> None:
    theirs = hosted.github.create_repository("of-a-stranger")
    project = hosted.start_project("Of a stranger")

    card = hosted.world.wait(work(hosted, project["id"], BOOKS.text), seconds=60)

    assert (card["status"], card["failure"]["code"]) == ("failed", "repository_taken")
    assert "rename or delete it" in card["lines"][-1]["text"]
    assert git_store.heads(theirs.path) == {}


def test_repository_of_ours_that_a_broken_start_left_behind_is_adopted(hosted: GitHubWorld) -> None:
    hosted.github.stage.fail(2, calls="PUT .*protection")
    project = hosted.start_project("Half begun")
    path = f"/api/projects/{project['id']}/"

    hosted.world.api.post(f"{path}scaffold/")

    assert eventually(lambda: hosted.world.api.get(path)["status"] == "active", seconds=60)
    assert len([each for each in hosted.github.repositories if each.name.startswith("half-begun")]) == 1
    assert "main" in hosted.repository(project["id"]).protection
