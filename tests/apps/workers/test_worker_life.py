"""One worker's whole life: real units, real channel, real API, the real wrapper with the rehearsal agent."""

import hashlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.utils import timezone

from apps import storage
from apps.projects import templating
from apps.units import layout, processes, toolchain
from apps.units.supervisor import Units
from apps.workers import restore, selectors, services
from apps.workers.channel import Channel
from apps.workers.composition import Hands, container_spec
from apps.workers.consumer import ResultConsumer
from apps.workers.followups import FollowUps
from apps.workers.models import Turn, Worker
from apps.workers.reconciler import reconcile_worker
from apps.workers.reconciler_turns import reconcile_turn
from apps.workers.requests import WorkerRequest
from apps.workers.runtime.base import Phase
from apps.workers.runtime.process import ProcessRuntime
from tests.apps.workers.conftest import LIMITS
from tests.factories import make_user
from tests.template.projects import copy_rendered

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="life-", dir="/tmp"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def hands(place: Path, operator: Channel) -> Iterator[Hands]:
    units = Units(place / "units", cache=place / "cache")
    runtime = ProcessRuntime(units, tools=toolchain.prepare(place / "bin"), outer={})
    yield Hands(runtime=runtime, channel=operator, limits=LIMITS, describe=container_spec)
    for state in units.list_owned():
        units.remove(state.name)


@pytest.fixture
def consuming(operator: Channel) -> Iterator[None]:
    """Consume on a thread, as the bootstep does."""
    stop = threading.Event()
    consumer = ResultConsumer(
        channel=operator, client=operator.client, tell=lambda _facts: None, flood_limit=10_000
    )

    def run() -> None:
        consumer.run(stop)
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.fixture
def request_developer(place: Path) -> WorkerRequest:
    """Describe a worker on a freshly rendered project."""
    tree, project_id = place / "project", uuid4()
    answers = templating.TemplateAnswers(
        project_name="Books", project_slug="books", project_description="Books", modules=("backend",)
    )
    copy_rendered(answers, tree)
    sha = _commit(tree)
    bundle = place / "base.bundle"
    _git(tree, "bundle", "create", "--quiet", str(bundle), "main")
    name = storage.workspace_name(project_id=project_id, sha=sha)
    storage.save_bundle(bundle, name=name)
    return WorkerRequest(
        worker_type="developer",
        agent_type="rehearsal",
        owner_id=make_user().pk,
        project_id=project_id,
        workspace_name=name,
        workspace_sha256=hashlib.sha256(bundle.read_bytes()).hexdigest(),
        base_branch="main",
        base_sha=sha,
        branch="task/life-1",
    )


def _commit(tree: Path) -> str:
    _git(tree, "init", "--quiet", "--initial-branch=main")
    _git(tree, "add", "--all")
    _git(tree, "commit", "--quiet", "--message", "Begin")
    return _git(tree, "rev-parse", "HEAD").strip()


def _git(tree: Path, *words: str) -> str:
    identity = ["-c", "user.name=tests", "-c", "user.email=tests@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *identity, *words], cwd=tree, check=True, capture_output=True, text=True
    ).stdout


class Life:
    """Drives one worker as the Celery tasks would."""

    def __init__(self, hands: Hands, worker_id: Any) -> None:
        self.hands = hands
        self.worker_id = worker_id

    @property
    def worker(self) -> Worker:
        return Worker.objects.get(pk=self.worker_id)

    def until(self, condition: Callable[[], bool], *, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"worker is {self.worker.status}: {self._log()}"
            self.step()
            time.sleep(0.1)

    def step(self) -> FollowUps:
        follow_ups = reconcile_worker(worker_id=self.worker_id, hands=self.hands)
        for turn_id in Turn.objects.filter(worker_id=self.worker_id).values_list("pk", flat=True):
            reconcile_turn(turn_id=turn_id, hands=self.hands)
        return follow_ups

    def ready(self) -> bool:
        return selectors.get_worker_outcome(worker_id=self.worker_id).is_ready

    def ended(self) -> bool:
        return selectors.get_worker_outcome(worker_id=self.worker_id).is_final

    def _log(self) -> str:
        state = self.hands.runtime.inspect(self.worker.container_name)
        return "" if state is None else self.hands.runtime.logs(state.name, tail_bytes=3_000)


def test_turn_from_request_to_bundle_and_a_clean_end(
    live_server: Any, settings: Any, hands: Hands, consuming: None, request_developer: WorkerRequest
) -> None:
    settings.WORKERS_API_URL = live_server.url
    life = Life(hands, services.request_worker(idempotency_key="life", request=request_developer))
    life.until(life.ready)
    turn_id = services.send_turn(
        idempotency_key="turn",
        worker_id=life.worker_id,
        prompt="<task>\nAn inventory of books with title and author.\n</task>",
        timeout_seconds=60,
    )

    life.until(lambda: selectors.get_turn_outcome(turn_id=turn_id).is_final)
    services.release_worker(worker_id=life.worker_id)
    life.until(life.ended)

    outcome = selectors.get_turn_outcome(turn_id=turn_id)
    assert (outcome.status, outcome.failure) == ("succeeded", None)
    assert outcome.branch == "task/life-1"
    assert outcome.commit_sha is not None
    assert outcome.bundle_name is not None
    found = storage.find_bundle(outcome.bundle_name)
    assert found is not None
    assert found.sha256 == outcome.bundle_sha256
    assert selectors.list_progress(turn_id=turn_id)
    worker = life.worker
    assert (worker.status, worker.exit_code) == ("succeeded", 0)
    assert worker.removed_at is not None
    assert hands.channel.list_known_workers() == set()
    assert hands.runtime.list_owned() == []


def test_worker_killed_during_its_turn_crashes_with_it(
    live_server: Any, settings: Any, hands: Hands, consuming: None, request_developer: WorkerRequest
) -> None:
    settings.WORKERS_API_URL = live_server.url
    life = Life(hands, services.request_worker(idempotency_key="life", request=request_developer))
    life.until(life.ready)
    turn_id = services.send_turn(
        idempotency_key="turn",
        worker_id=life.worker_id,
        prompt="An inventory of books with title.\n\nrehearsal: hang",
        timeout_seconds=60,
    )
    life.until(lambda: bool(selectors.list_progress(turn_id=turn_id)))

    hands.runtime.remove(life.worker.container_name)
    life.until(life.ended)

    outcome = selectors.get_turn_outcome(turn_id=turn_id)
    assert (outcome.status, life.worker.status) == ("crashed", "crashed")
    assert outcome.failure is not None
    assert outcome.failure.kind == "platform"


def test_channel_restart_does_not_end_a_worker(
    live_server: Any, settings: Any, hands: Hands, consuming: None, request_developer: WorkerRequest
) -> None:
    settings.WORKERS_API_URL = live_server.url
    life = Life(hands, services.request_worker(idempotency_key="life", request=request_developer))
    life.until(life.ready)
    # What a server without its data has forgotten: users, streams, groups.
    hands.channel.shut_out(life.worker_id)
    hands.channel.client.flushall()

    turn_id = services.send_turn(
        idempotency_key="turn",
        worker_id=life.worker_id,
        prompt="Nothing to be understood",
        timeout_seconds=60,
    )
    life.until(lambda: selectors.get_turn_outcome(turn_id=turn_id).is_final)

    outcome = selectors.get_turn_outcome(turn_id=turn_id)
    assert outcome.failure is not None
    assert outcome.failure.code == "agent_reported_failure"


def _is_hanging(turn_id: UUID) -> bool:
    """Tell whether the agent does nothing any more, in a checkout that is ready."""
    return any(line.step == "hang" for line in selectors.list_progress(turn_id=turn_id))


def _kill_wrapper(place: Path, worker: Worker) -> None:
    """Kill a worker's wrapper and whatever it started, as an out-of-memory killer would: without a word."""
    (found,) = (place / "units").rglob(f"{worker.container_name}/{layout.PROCESS}")
    words: Any = layout.read_json(str(found.parent), layout.PROCESS)
    for pid in processes.descendants(words["shim_pid"]):
        processes.send(pid, signal.SIGKILL)


def test_commit_of_a_worker_that_was_killed_is_stored_and_its_turn_fails_within_15_seconds(
    live_server: Any,
    settings: Any,
    place: Path,
    hands: Hands,
    consuming: None,
    request_developer: WorkerRequest,
) -> None:
    settings.WORKERS_API_URL = live_server.url
    life = Life(hands, services.request_worker(idempotency_key="life", request=request_developer))
    life.until(life.ready)
    turn_id = services.send_turn(
        idempotency_key="turn",
        worker_id=life.worker_id,
        prompt="Books.\n\nrehearsal: hang",
        timeout_seconds=60,
    )
    life.until(lambda: _is_hanging(turn_id))
    name = life.worker.container_name
    script = "git config user.name t; git config user.email t@example.invalid; echo x > last.py; "
    script += "git add last.py; git commit -q -m Last; git rev-parse HEAD"
    made = hands.runtime.exec(name, ("sh", "-c", script))

    _kill_wrapper(place, life.worker)
    began = time.monotonic()
    life.until(life.ended)
    seconds = time.monotonic() - began

    worker, outcome = life.worker, selectors.get_turn_outcome(turn_id=turn_id)
    assert seconds < 15
    assert (outcome.status, worker.status) == ("crashed", "crashed")
    assert (worker.exit_code, bool(worker.log_tail)) == (137, True)
    assert [row.head_sha for row in worker.snapshots.filter(reason="rescue")] == [made.output.strip()]
    assert worker.work_lost_since is not None


def test_work_that_was_not_committed_is_saved_when_its_worker_is_stopped(
    live_server: Any,
    settings: Any,
    place: Path,
    hands: Hands,
    consuming: None,
    request_developer: WorkerRequest,
) -> None:
    settings.WORKERS_API_URL = live_server.url
    life = Life(hands, services.request_worker(idempotency_key="life", request=request_developer))
    life.until(life.ready)
    turn_id = services.send_turn(
        idempotency_key="turn",
        worker_id=life.worker_id,
        prompt="Books.\n\nrehearsal: hang",
        timeout_seconds=60,
    )
    life.until(lambda: _is_hanging(turn_id))
    hands.runtime.exec(life.worker.container_name, ("sh", "-c", "echo half > half.py"))

    services.cancel_worker(worker_id=life.worker_id)
    life.until(life.ended)
    made = restore.restore(life.worker, place / "restored")

    assert (life.worker.status, life.worker.work_lost_since) == ("canceled", None)
    assert made.has_uncommitted
    assert (place / "restored" / "half.py").read_text() == "half\n"
    assert "Standing orders" not in (place / "restored" / "AGENTS.md").read_text()


def test_paused_product_owner_hears_a_message_within_a_second(
    live_server: Any, settings: Any, hands: Hands, consuming: None
) -> None:
    settings.WORKERS_API_URL = live_server.url
    request = WorkerRequest(worker_type="po", owner_id=make_user().pk, agent_type="rehearsal")
    life = Life(hands, services.request_worker(idempotency_key="life", request=request))
    life.until(life.ready)
    Worker.objects.filter(pk=life.worker_id).update(started_at=timezone.now() - timedelta(hours=1))
    life.until(lambda: life.worker.status == "paused")
    state = hands.runtime.inspect(life.worker.container_name)

    began = time.monotonic()
    turn_id = services.send_turn(
        idempotency_key="turn", worker_id=life.worker_id, prompt="Hello", timeout_seconds=60
    )
    life.step()
    life.until(lambda: bool(selectors.list_progress(turn_id=turn_id)), seconds=10)
    seconds = time.monotonic() - began
    life.until(lambda: selectors.get_turn_outcome(turn_id=turn_id).is_final)

    assert state is not None
    assert state.phase is Phase.PAUSED
    # A second on an idle machine; three on one that runs other tests too.
    assert seconds < 3
    assert life.worker.status == "running"
