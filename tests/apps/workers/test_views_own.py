"""A worker's own doors: its workspace, its snapshots, its words."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.files.storage import default_storage
from rest_framework.test import APIClient

from apps import storage
from apps.workers.credentials import credentials_of
from apps.workers.limits import MAX_MESSAGES, MAX_SNAPSHOT_BYTES, MAX_SNAPSHOTS
from apps.workers.models import Snapshot, Turn, TurnStatus, Worker, WorkerEvent, WorkerStatus
from tests.factories import make_sha, make_turn, make_worker

pytestmark = [pytest.mark.service, pytest.mark.django_db]

BUNDLE = b"# v2 git bundle\n" + b"x" * 1_000


@pytest.fixture
def worker() -> Worker:
    return make_worker(allowed_commands=["respond"])


def client_of(worker: Worker) -> APIClient:
    secrets = credentials_of(worker.pk)
    Worker.objects.filter(pk=worker.pk).update(token_sha256=secrets.token_sha256)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Worker {secrets.token}")
    return client


def upload(worker: Worker, content: bytes = BUNDLE, **changes: str) -> Any:
    headers = {
        "X-Head-Sha": make_sha("head"),
        "X-Base-Sha": make_sha("base"),
        "X-Branch": "task/0a1b2c3d-1",
        "X-Reason": "result",
        "X-Bundle-Sha256": hashlib.sha256(content).hexdigest(),
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    meta = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    return client_of(worker).post(
        "/api/worker/snapshots", content, content_type="application/octet-stream", **meta
    )


class TestWorkspace:
    def test_worker_without_one_gets_204(self, worker):
        answer = client_of(worker).get("/api/worker/workspace")

        assert (answer.status_code, answer.content) == (204, b"")

    def test_bundle_comes_with_its_facts(self, worker, tmp_path: Path):
        (tmp_path / "bundle").write_bytes(BUNDLE)
        name = storage.workspace_name(project_id=uuid4(), sha=make_sha())
        stored = storage.save_bundle(tmp_path / "bundle", name=name)
        Worker.objects.filter(pk=worker.pk).update(workspace_name=name, workspace_sha256=stored.sha256)

        answer = client_of(worker).get("/api/worker/workspace")

        assert b"".join(answer.streaming_content) == BUNDLE
        assert answer["X-Bundle-Sha256"] == stored.sha256
        assert (answer["X-Base-Sha"], answer["X-Base-Branch"]) == (worker.base_sha, "main")
        answer.close()

    def test_bundle_that_is_gone_is_404(self, worker):
        name = storage.workspace_name(project_id=uuid4(), sha=make_sha())
        Worker.objects.filter(pk=worker.pk).update(workspace_name=name, workspace_sha256="ab" * 32)

        answer = client_of(worker).get("/api/worker/workspace")

        assert (answer.status_code, answer.json()["error"]) == (404, "bundle_missing")


class TestSnapshots:
    def test_bundle_is_kept_under_its_digest(self, worker):
        answer = upload(worker, X_Request_Id=str(make_turn(worker=worker).pk))

        snapshot = Snapshot.objects.get()
        assert answer.status_code == 201
        assert answer.json() == {
            "id": str(snapshot.pk),
            "name": f"snapshots/{worker.pk}/{snapshot.sha256}.bundle",
            "sha256": hashlib.sha256(BUNDLE).hexdigest(),
        }
        with storage.open_bundle(snapshot.name) as stored:
            assert stored.read() == BUNDLE

    def test_same_bundle_again_is_200_and_one_row(self, worker):
        first = upload(worker)

        again = upload(worker)

        assert (again.status_code, again.json()) == (200, first.json())
        assert Snapshot.objects.count() == 1

    def test_bundle_that_was_collected_is_taken_in_again(self, worker):
        first = upload(worker)
        storage.delete_bundle(first.json()["name"])

        again = upload(worker)

        assert again.json() == first.json()
        assert storage.find_bundle(first.json()["name"]) is not None

    def test_other_content_than_announced_is_refused(self, worker):
        answer = upload(worker, X_Bundle_Sha256="0" * 64)

        assert (answer.status_code, answer.json()["error"]) == (400, "bundle_corrupted")
        assert not Snapshot.objects.exists()

    def test_bundle_over_the_limit_is_413_and_not_kept(self, worker, settings):
        settings.PROJECTS_BUNDLE_MAX_BYTES = 1_000

        answer = upload(worker)

        assert (answer.status_code, answer.json()["error"]) == (413, "bundle_too_large")
        assert answer.json()["details"] == {"limit_bytes": 1_000}
        assert not (Path(default_storage.path("snapshots")) / str(worker.pk)).exists()

    def test_length_that_lies_is_found_out(self, worker, settings):
        settings.PROJECTS_BUNDLE_MAX_BYTES = 1_000

        answer = upload(worker, Content_Length="10")

        assert answer.status_code in {400, 413}
        assert not Snapshot.objects.exists()

    def test_empty_body_is_refused(self, worker):
        answer = upload(worker, b"", X_Bundle_Sha256="0" * 64)

        assert (answer.status_code, answer.json()["error"]) == (400, "bundle_corrupted")

    def test_turn_of_another_worker_is_refused(self, worker):
        answer = upload(worker, X_Request_Id=str(make_turn().pk))

        assert (answer.status_code, answer.json()["error"]) == (400, "foreign_turn")
        assert not Snapshot.objects.exists()

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"X_Request_Id": "7"}, "X-Request-Id"),
            ({"X_Reason": "fun"}, "reason"),
            ({"X_Branch": ""}, "branch"),
            ({"X_Branch": "b" * 121}, "branch"),
            ({"X_Head_Sha": "main"}, "head_sha"),
            ({"X_Base_Sha": "A" * 40}, "base_sha"),
            ({"X_Bundle_Sha256": "../../etc/passwd"}, "sha256"),
        ],
    )
    def test_malformed_words_are_named(self, worker, changes, field):
        answer = upload(worker, **changes)

        assert (answer.status_code, list(answer.json()["details"])) == (400, [field])

    def test_two_workers_keep_their_own(self, worker):
        first = upload(worker).json()

        second = upload(make_worker()).json()

        assert first["name"] != second["name"]


def other_snapshot(worker: Worker, number: int, *, size_bytes: int = 1) -> Snapshot:
    return Snapshot(
        worker=worker,
        reason="result",
        branch="task/0a1b2c3d-1",
        base_sha=make_sha("base"),
        head_sha=make_sha("head"),
        name=f"snapshots/{number}",
        sha256=f"{number:064x}",
        size_bytes=size_bytes,
    )


class TestRoomForSnapshots:
    def test_one_worker_has_a_number_of_bundles(self, worker):
        Snapshot.objects.bulk_create(other_snapshot(worker, number) for number in range(MAX_SNAPSHOTS))

        answer = upload(worker)

        assert (answer.status_code, answer.json()["error"]) == (413, "snapshot_quota")
        assert answer.json()["details"]["limit_snapshots"] == MAX_SNAPSHOTS

    def test_bundle_that_would_be_too_much_is_not_kept(self, worker):
        other_snapshot(worker, 1, size_bytes=MAX_SNAPSHOT_BYTES - len(BUNDLE) + 1).save()

        answer = upload(worker)

        name = storage.snapshot_name(worker_id=worker.pk, sha256=hashlib.sha256(BUNDLE).hexdigest())
        assert (answer.status_code, answer.json()["error"]) == (413, "snapshot_quota")
        assert (Snapshot.objects.count(), storage.find_bundle(name)) == (1, None)

    def test_bundle_that_just_fits_is_kept(self, worker):
        other_snapshot(worker, 1, size_bytes=MAX_SNAPSHOT_BYTES - len(BUNDLE)).save()

        answer = upload(worker)

        assert answer.status_code == 201

    def test_known_bundle_needs_no_room(self, worker):
        upload(worker)
        other_snapshot(worker, 1, size_bytes=MAX_SNAPSHOT_BYTES).save()

        answer = upload(worker)

        assert answer.status_code == 200

    def test_others_have_their_own_room(self, worker):
        other_snapshot(worker, 1, size_bytes=MAX_SNAPSHOT_BYTES).save()

        answer = upload(make_worker())

        assert answer.status_code == 201


class TestSupersededSnapshots:
    @pytest.fixture
    def periodic(self, worker, django_capture_on_commit_callbacks) -> Callable[..., str]:
        turn = make_turn(worker=worker)

        def send(content: bytes, reason: str = "periodic", turn_id: UUID = turn.pk) -> str:
            with django_capture_on_commit_callbacks(execute=True):
                answer = upload(worker, content, X_Reason=reason, X_Request_Id=str(turn_id))
            assert answer.status_code == 201
            return str(answer.json()["name"])

        return send

    def test_newer_snapshot_of_the_turn_replaces_the_one_before(self, periodic):
        before = periodic(b"first")

        now = periodic(b"second")

        assert [snapshot.name for snapshot in Snapshot.objects.all()] == [now]
        assert storage.find_bundle(before) is None
        assert storage.find_bundle(now) is not None

    def test_bundle_that_a_turn_ended_with_stays(self, worker, periodic):
        before = periodic(b"first")
        Turn.objects.filter(worker=worker).update(bundle_name=before)

        periodic(b"second")

        assert Snapshot.objects.filter(name=before).exists()
        assert storage.find_bundle(before) is not None

    def test_bundle_that_was_sent_for_another_reason_too_stays(self, periodic):
        before = periodic(b"first")
        periodic(b"first", reason="result")

        periodic(b"second")

        assert list(Snapshot.objects.filter(name=before).values_list("reason", flat=True)) == ["result"]
        assert storage.find_bundle(before) is not None

    @pytest.mark.parametrize("reason", ["result", "stop"])
    def test_only_periodic_snapshots_replace(self, periodic, reason):
        before = periodic(b"first")

        periodic(b"second", reason=reason)

        assert storage.find_bundle(before) is not None

    def test_snapshots_of_another_turn_stay(self, worker, periodic):
        before = periodic(b"first")
        Turn.objects.filter(worker=worker).update(status=TurnStatus.FAILED)

        periodic(b"second", turn_id=make_turn(worker=worker).pk)

        assert storage.find_bundle(before) is not None


class TestCancelingWorker:
    @pytest.fixture
    def worker(self) -> Worker:
        return make_worker(status=WorkerStatus.CANCELING, allowed_commands=["*"])

    def test_its_last_bundle_is_kept(self, worker):
        answer = upload(worker, X_Reason="stop")

        assert answer.status_code == 201
        assert Snapshot.objects.get().reason == "stop"

    @pytest.mark.parametrize("path", ["/api/worker/workspace", "/api/projects/", "/api/tasks/"])
    def test_nothing_else_is_open_to_it(self, worker, path):
        answer = client_of(worker).get(path)

        assert answer.status_code == 401

    def test_it_has_nothing_more_to_say(self, worker):
        answer = client_of(worker).post("/api/worker/messages", {"message": "wait"}, format="json")

        assert answer.status_code == 401


def test_bundle_of_a_worker_that_has_ended_is_refused() -> None:
    answer = upload(make_worker(status=WorkerStatus.CANCELED), X_Reason="stop")

    assert answer.status_code == 401
    assert not Snapshot.objects.exists()


class TestMessages:
    def test_words_are_kept_beside_the_others_of_the_worker(self, worker):
        answer = client_of(worker).post("/api/worker/messages", {"message": "готово"}, format="json")

        event = WorkerEvent.objects.get(pk=answer.json()["id"])
        assert (event.worker_id, event.kind, event.body) == (worker.pk, "message", {"text": "готово"})

    def test_one_worker_has_a_number_of_messages(self, worker):
        WorkerEvent.objects.bulk_create(
            WorkerEvent(worker=worker, boot=f"api-{number}", seq=1, kind="message", body={})
            for number in range(MAX_MESSAGES)
        )

        answer = client_of(worker).post("/api/worker/messages", {"message": "more"}, format="json")

        assert (answer.status_code, answer.json()["error"]) == (409, "too_many_messages")
        assert WorkerEvent.objects.count() == MAX_MESSAGES

    @pytest.mark.parametrize("body", [{}, {"message": ""}, {"message": "x" * 20_001}, {"message": "\x00"}])
    def test_bad_words_are_refused(self, worker, body):
        answer = client_of(worker).post("/api/worker/messages", body, format="json")

        assert (answer.status_code, list(answer.json()["details"])) == (400, ["message"])

    def test_repeated_key_says_nothing_twice(self, worker):
        client = client_of(worker)
        answers = [
            client.post("/api/worker/messages", {"message": "once"}, format="json", HTTP_IDEMPOTENCY_KEY="k")
            for _ in range(2)
        ]

        assert answers[0].json() == answers[1].json()
        assert WorkerEvent.objects.filter(worker=worker, kind="message").count() == 1
