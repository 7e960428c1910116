"""The main job: a sentence in, a service that answers out."""

import threading
from typing import Any

import httpx
import psutil
import pytest

from tests.data.sentences import SENTENCES, Sentence
from tests.journeys.visitor import Visitor
from tests.journeys.world import World, eventually
from worker_image.cli.api import ApiError

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

BOOKS = SENTENCES[0]


@pytest.fixture(scope="module")
def books(world: World) -> dict[str, Any]:
    """The first sentence, done alone: its task and its card."""
    task = world.begin(BOOKS.text, name="Books of the journey")
    return {"task": task, "card": world.wait(task["id"], seconds=180)}


def exercise(url: str, sentence: Sentence) -> None:
    """Use a service as its user would."""
    resource = f"{url.rstrip('/')}{sentence.path}"
    assert httpx.get(resource).json() == []

    created = httpx.post(resource, json=sentence.valid)

    assert created.status_code == 201, created.text
    assert sentence.valid.items() <= created.json().items()
    assert [item["id"] for item in httpx.get(resource).json()] == [created.json()["id"]]
    assert httpx.post(resource, json=sentence.invalid).status_code == 422


def test_a_sentence_becomes_a_service_that_answers(world: World, books: dict[str, Any]) -> None:
    assert books["card"]["status"] == "completed", books["card"]["failure"]
    exercise(books["card"]["url"], BOOKS)


def test_every_line_of_the_card_is_an_event_read_over_the_api(world: World, books: dict[str, Any]) -> None:
    lines = books["card"]["lines"]
    events: dict[tuple[str, int], str] = {}

    for task_id in {line["task_id"] for line in lines}:
        for event in world.api.list(f"/api/tasks/{task_id}/events/"):
            events[task_id, event["seq"]] = event["kind"]

    assert lines
    assert all(events[line["task_id"], line["seq"]] == line["kind"] for line in lines)


def test_the_accounting_of_the_card_adds_up_to_its_time(books: dict[str, Any]) -> None:
    card = books["card"]

    assert all(seconds >= 0 for seconds in card["accounting"].values())
    assert card["accounting"]["checks"] > 0
    assert sum(card["accounting"].values()) == pytest.approx(card["elapsed_seconds"], abs=0.1)


def test_the_agent_is_labelled_as_a_rehearsal(books: dict[str, Any]) -> None:
    assert "rehearsal" in books["card"]["agent"].lower()


def test_what_was_stored_survives_the_death_of_the_service(world: World, books: dict[str, Any]) -> None:
    url, resource = books["card"]["url"], f"{books['card']['url']}books"
    before = httpx.get(resource).json()
    assert before
    (pid,) = world.listeners(world.service_port(url))

    psutil.Process(pid).kill()

    def answers_again() -> bool:
        try:
            answer = httpx.get(resource)
        except httpx.HTTPError:
            return False
        return answer.is_success and answer.json() == before

    assert eventually(answers_again, seconds=60)
    assert world.listeners(world.service_port(url)) != {pid}


def test_a_second_task_changes_the_running_service(world: World, books: dict[str, Any]) -> None:
    project_id = books["task"]["project_id"]

    def is_ours(answer: httpx.Response) -> bool:
        return answer.is_success and [one["title"] for one in answer.json()] == [BOOKS.valid["title"]]

    with Visitor(f"{books['card']['url']}books", is_well=is_ours) as visitor:
        task = world.follow_up(project_id, "add a publisher field")
        card = world.wait(task["id"], seconds=180)
        released = "SELECT status FROM infra_servicedeployment WHERE project_id = %s ORDER BY created_at"
        replaced = [("stopped",), ("live",)]
        assert eventually(lambda: world.rows(released, project_id) == replaced, seconds=60)

    assert card["status"] == "completed", card["failure"]
    assert card["url"] == books["card"]["url"], "people keep the address that they were told"
    assert set(visitor.seen) == {"well"}, "nobody was refused, and nobody met anything else"
    stored = httpx.get(f"{card['url']}books").json()
    assert [item["title"] for item in stored] == [BOOKS.valid["title"]]
    assert "publisher" in stored[0]
    assert len(world.merges(project_id)) == 2
    live = list(world.api.list("/api/service_deployments/", project_id=project_id, status="live"))
    assert [deployment["url"] for deployment in live] == [card["url"]]


def test_nine_other_sentences_at_once_become_nine_services(world: World) -> None:
    tasks = {sentence.name: world.begin(sentence.text) for sentence in SENTENCES[1:]}

    cards = {name: world.wait(task["id"], seconds=600) for name, task in tasks.items()}

    failures = {name: card["failure"] for name, card in cards.items() if card["status"] != "completed"}
    assert failures == {}
    for sentence in SENTENCES[1:]:
        exercise(cards[sentence.name]["url"], sentence)
    assert len({card["url"] for card in cards.values()}) == len(cards)


def test_two_clients_that_start_a_task_at_the_same_instant_make_one_run(world: World) -> None:
    project = world.api.post("/api/projects/", {"name": "twins", "modules": ["backend"]}, create=True)
    body = {"project_id": project["id"], "type": "engineering", "spec": "asdf qwer"}
    task = world.api.post("/api/tasks/", body, create=True)
    barrier, runs = threading.Barrier(2), []

    def start() -> None:
        barrier.wait(timeout=10)
        runs.append(world.api.post(f"/api/tasks/{task['id']}/start/")["id"])

    clients = [threading.Thread(target=start) for _ in range(2)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(timeout=60)

    assert len(runs) == 2
    assert len(set(runs)) == 1
    assert world.rows("SELECT count(*) FROM graph_run WHERE task_id = %s", task["id"]) == [(1,)]


def test_a_stranger_sees_nothing_of_it(world: World, books: dict[str, Any]) -> None:
    stranger = world.as_person("stranger")

    with pytest.raises(ApiError) as caught:
        stranger.get(f"/api/tasks/{books['task']['id']}/")

    assert caught.value.kind == "not_found"
    assert list(stranger.list("/api/projects/")) == []
