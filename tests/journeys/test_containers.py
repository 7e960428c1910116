"""The main job once more, with workers and checks in containers of a real Docker daemon."""

from collections.abc import Iterator
from typing import Any

import docker
import httpx
import pytest

from tests.data.sentences import SENTENCES
from tests.journeys.test_main_job import exercise
from tests.journeys.world import World, eventually, running

pytestmark = [pytest.mark.e2e, pytest.mark.docker, pytest.mark.timeout(900)]

BOOKS = SENTENCES[0]
IN_CONTAINERS = {"WORKERS_RUNTIME": "docker"}


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env(timeout=60)
    yield client
    client.close()


@pytest.fixture(scope="module")
def contained(engine: docker.DockerClient) -> Iterator[World]:
    """A system whose workers are containers, and of which nothing is left after its stop."""
    with running(settings=IN_CONTAINERS) as started:
        yield started
        filters = of_installation(started)
        assert engine.networks.list(filters=filters)
    assert engine.containers.list(all=True, filters=filters) == []
    assert engine.volumes.list(filters=filters) == []
    assert engine.networks.list(filters=filters) == []


@pytest.fixture(scope="module")
def books(contained: World) -> dict[str, Any]:
    """The first sentence, done alone: its task, its card, and what containers it had."""
    task = contained.begin(BOOKS.text, name="Books in containers")
    return {"task": task, "card": contained.wait(task["id"], seconds=300)}


def of_installation(contained: World) -> dict[str, list[str]]:
    assert contained.stack.runtime is not None
    return {"label": [f"codegen.installation={contained.stack.runtime.installation}"]}


def test_a_sentence_becomes_a_service_that_answers(contained: World, books: dict[str, Any]) -> None:
    assert books["card"]["status"] == "completed", books["card"]["failure"]
    exercise(books["card"]["url"], BOOKS)


def test_the_stack_says_that_workers_are_containers(contained: World) -> None:
    assert contained.stack.runtime is not None
    assert contained.stack.runtime.notice.startswith("Workers run as containers: ")
    assert contained.stack.pid("edge") is not None


def test_the_work_was_done_in_containers_and_none_is_left(
    contained: World, books: dict[str, Any], engine: docker.DockerClient
) -> None:
    filters = of_installation(contained)
    log = (contained.stack.var_dir / "run" / "logs" / "edge.log").read_text()

    assert eventually(lambda: not engine.containers.list(all=True, filters=filters), seconds=60)
    assert "edge_listens" in log
    assert not list((contained.stack.var_dir / "units").glob("worker-*"))
    assert not list((contained.stack.var_dir / "units").glob("verification-*"))


def test_an_edge_that_dies_is_back_before_the_next_worker_needs_it(
    contained: World, books: dict[str, Any]
) -> None:
    contained.stack.kill("edge")

    task = contained.follow_up(books["task"]["project_id"], "add a publisher field")
    card = contained.wait(task["id"], seconds=300)

    assert card["status"] == "completed", card["failure"]
    assert "publisher" in httpx.get(f"{card['url']}books").json()[0]
