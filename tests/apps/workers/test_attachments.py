"""Files of people: stored once, read by their own workers only, handed to a task."""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from apps.workers import attachments, selectors, services
from apps.workers.credentials import credentials_of
from apps.workers.models import Attachment, Worker
from tests.factories import make_user, make_worker

pytestmark = [pytest.mark.service, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def root(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "storage"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo"
    path.write_bytes(b"\x89PNG and so on")
    return path


def client_of(worker: Worker) -> APIClient:
    secrets = credentials_of(worker.pk)
    Worker.objects.filter(pk=worker.pk).update(token_sha256=secrets.token_sha256)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Worker {secrets.token}")
    return client


def test_product_owner_reads_what_its_person_gave(photo: Path) -> None:
    po = make_worker(worker_type="po")
    kept = attachments.keep(photo, owner_id=po.owner_id, file_name="logo.png", mime_type="image/png")
    attachments.keep(photo, owner_id=make_user().pk, file_name="of another.png")

    listed = client_of(po).get("/api/worker/attachments").json()
    answer = client_of(po).get(f"/api/worker/attachments/{kept}")

    assert [(item["id"], item["file_name"], item["size_bytes"]) for item in listed] == [
        (str(kept), "logo.png", 14)
    ]
    assert b"".join(answer.streaming_content) == photo.read_bytes()
    assert answer["X-Bundle-Sha256"] == hashlib.sha256(photo.read_bytes()).hexdigest()
    answer.close()


def test_same_file_again_is_the_same(photo: Path) -> None:
    owner = make_user().pk

    first = attachments.keep(photo, owner_id=owner, file_name="a.png")
    again = attachments.keep(photo, owner_id=owner, file_name="a.png")
    renamed = attachments.keep(photo, owner_id=owner, file_name="b.png")

    assert first == again
    assert renamed != first
    assert len(set(Attachment.objects.values_list("name", flat=True))) == 1


def test_developer_reads_what_goes_with_its_task_only(photo: Path) -> None:
    developer = make_worker(task_id=uuid4())
    kept = attachments.keep(photo, owner_id=developer.owner_id, file_name="logo.png")
    before = client_of(developer).get("/api/worker/attachments").json()

    handed = attachments.hand_over(
        attachment_id=kept, owner_id=developer.owner_id, task_id=developer.task_id or uuid4()
    )
    after = client_of(developer).get("/api/worker/attachments").json()

    assert before == []
    assert [item["id"] for item in after] == [str(handed)]
    assert client_of(developer).get(f"/api/worker/attachments/{kept}").status_code == 404
    assert client_of(make_worker()).get("/api/worker/attachments").json() == []


def test_file_of_another_person_is_not_handed_over(photo: Path) -> None:
    kept = attachments.keep(photo, owner_id=make_user().pk, file_name="logo.png")

    with pytest.raises(attachments.AttachmentNotFound):
        attachments.hand_over(attachment_id=kept, owner_id=make_user().pk, task_id=uuid4())

    assert Attachment.objects.count() == 1


def test_retried_task_has_the_files_of_the_first(photo: Path) -> None:
    owner, first, second = make_user().pk, uuid4(), uuid4()
    kept = attachments.keep(photo, owner_id=owner, file_name="logo.png")
    for _ in range(2):
        attachments.hand_over(attachment_id=kept, owner_id=owner, task_id=first)

    attachments.copy_all(from_task_id=first, to_task_id=second)

    assert [row.file_name for row in attachments.list_of_task(first)] == ["logo.png"]
    assert [row.file_name for row in attachments.list_of_task(second)] == ["logo.png"]


def test_file_over_the_limit_is_refused(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachments, "MAX_BYTES", 5)

    with pytest.raises(attachments.AttachmentTooLarge):
        attachments.keep(photo, owner_id=make_user().pk, file_name="logo.png")

    assert not Attachment.objects.exists()


def test_old_files_and_files_of_a_deleted_person_are_let_go(photo: Path) -> None:
    owner = make_user()
    attachments.keep(photo, owner_id=owner.pk, file_name="old.png")
    long_ago = timezone.now() - timedelta(days=attachments.KEPT_DAYS + 1)
    Attachment.objects.update(created_at=long_ago)

    attachments.keep(photo, owner_id=owner.pk, file_name="new.png")
    kept = list(Attachment.objects.values_list("file_name", flat=True))
    needed = selectors.bundle_names_in_use()
    services.forget_person(owner_id=owner.pk)

    assert kept == ["new.png"]
    assert len(needed) == 1
    assert selectors.bundle_names_in_use() == set()


def test_person_has_no_business_at_a_workers_door() -> None:
    client = APIClient()
    client.force_authenticate(make_user(is_staff=True))

    assert client.get("/api/worker/attachments").status_code == 403


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("logo.png", "logo.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\план.docx", "план.docx"),
        (".bashrc", "bashrc"),
        ("--output", "output"),
        ("a\n<b>.txt", "a_b_.txt"),
        ("", "file"),
        ("x" * 200 + ".jpeg", "x" * 115 + ".jpeg"),
    ],
)
def test_names_are_those_of_plain_files(given: str, safe: str) -> None:
    assert attachments.safe_name(given) == safe
