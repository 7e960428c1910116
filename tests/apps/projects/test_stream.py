"""The live timeline: Server-Sent Events from a real ASGI server."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from django.db import connection

from apps.projects import timeline
from apps.projects.models import Task
from apps.projects.services import issue_token
from orchestrator.asgi import application
from tests.factories import make_task

pytestmark = [pytest.mark.service, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def web(db: None) -> Iterator[str]:
    """The web process, in a thread of the test so that it sees the test's database."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(application, lifespan="off", ws="none", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    listener.close()


@pytest.fixture
def task() -> Task:
    return make_task(status="running")


def headers_for(task: Task, **more: str) -> dict[str, str]:
    _, token = issue_token(person_id=task.project.owner.pk, name="test")
    return {"Authorization": f"Token {token}", "Accept": "text/event-stream", **more}


def happen(task: Task, *numbers: int) -> None:
    for number in numbers:
        timeline.record(
            task_id=task.pk, key=str(number), kind="agent_progress", data={"n": number, "t": "ход"}
        )


def end(task: Task) -> None:
    timeline.record(task_id=task.pk, key="end", kind="succeeded")
    Task.transition(task.pk, to="succeeded")


def read(address: str, headers: dict[str, str]) -> list[dict[str, Any]]:
    """Read a stream to its end."""
    with (
        httpx.Client(trust_env=False, timeout=20) as client,
        client.stream("GET", address, headers=headers) as stream,
    ):
        assert stream.status_code == 200, stream.read()
        assert stream.headers["Content-Type"] == "text/event-stream"
        return parse("".join(stream.iter_text()))


def parse(text: str) -> list[dict[str, Any]]:
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            found.append({**fields, "data": json.loads(fields["data"])})
    return found


def address(web: str, task: Task) -> str:
    return f"{web}/api/tasks/{task.pk}/events/stream"


def test_events_come_in_order_and_the_stream_ends_after_the_final_one(web, task):
    happen(task, 1, 2)
    end(task)

    events = read(address(web, task), headers_for(task))

    assert [(event["id"], event["event"]) for event in events] == [
        ("1", "agent_progress"),
        ("2", "agent_progress"),
        ("3", "succeeded"),
        ("3", "end"),
    ]
    assert events[0]["data"]["data"] == {"n": 1, "t": "ход"}


def test_what_happens_meanwhile_arrives(web, task):
    happen(task, 1)
    later = threading.Timer(0.5, lambda: (happen(task, 2), end(task), _close()))
    later.start()

    events = read(address(web, task), headers_for(task))

    later.join()
    assert [event["id"] for event in events] == ["1", "2", "3", "3"]


def test_client_that_comes_back_goes_on_after_what_it_saw(web, task):
    happen(task, 1, 2, 3)
    end(task)

    events = read(address(web, task), headers_for(task, **{"Last-Event-ID": "2"}))

    assert [event["id"] for event in events] == ["3", "4", "4"]


def test_more_events_than_one_batch_are_all_sent(web, task):
    happen(task, *range(250))
    end(task)

    events = read(address(web, task), headers_for(task))

    assert [int(event["id"]) for event in events] == [*range(1, 252), 251]


@pytest.mark.parametrize("position", ["-1", "x", "9" * 20, "²"])
def test_position_that_is_none_is_400(web, task, position):
    headers = headers_for(task) | {"Last-Event-ID": position.encode()}

    answer = httpx.get(address(web, task), headers=headers, trust_env=False)

    assert (answer.status_code, list(answer.json()["details"])) == (400, ["Last-Event-ID"])


def test_stranger_and_nobody_get_no_stream(web, task):
    as_stranger = httpx.get(address(web, task), headers=headers_for(make_task()), trust_env=False)
    as_nobody = httpx.get(address(web, task), trust_env=False)

    assert (as_stranger.status_code, as_nobody.status_code) == (404, 401)
    assert as_nobody.json()["error"] == "not_authenticated"


def test_twenty_clients_hear_the_same(web, task):
    happen(task, 1)
    headers = headers_for(task)

    async def listen(client: httpx.AsyncClient) -> str:
        async with client.stream("GET", address(web, task), headers=headers) as stream:
            return "".join([part async for part in stream.aiter_text()])

    async def listen_all() -> list[str]:
        limits = httpx.Limits(max_connections=30)
        async with httpx.AsyncClient(trust_env=False, timeout=30, limits=limits) as client:
            listeners = [asyncio.create_task(listen(client)) for _ in range(20)]
            await asyncio.sleep(1)
            await asyncio.to_thread(lambda: (happen(task, 2), end(task), _close()))
            return await asyncio.gather(*listeners)

    began = time.monotonic()
    answers = asyncio.run(listen_all())

    assert {tuple(event["id"] for event in parse(answer)) for answer in answers} == {("1", "2", "3", "3")}
    assert time.monotonic() - began < 10


def test_client_that_leaves_is_forgotten(web, task):
    with httpx.Client(trust_env=False) as client:
        for _ in range(5):
            with client.stream("GET", address(web, task), headers=headers_for(task)) as stream:
                assert stream.status_code == 200

        answer = client.get(f"{web}/health/ready")

    assert answer.status_code == 200


def _close() -> None:
    """Close this thread's connection to the database."""
    connection.close()
