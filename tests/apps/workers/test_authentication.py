"""Worker tokens."""

import pytest
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.test import APIRequestFactory

from apps.workers.authentication import WorkerTokenAuthentication
from apps.workers.credentials import credentials_of
from apps.workers.models import Worker, WorkerStatus
from tests.factories import make_user, make_worker

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def with_token(**fields: object) -> tuple[Worker, str]:
    worker = make_worker(**fields)
    credentials = credentials_of(worker.pk)
    Worker.objects.filter(pk=worker.pk).update(token_sha256=credentials.token_sha256)
    return worker, credentials.token


def authenticate(header: str | None) -> object:
    headers = {} if header is None else {"HTTP_AUTHORIZATION": header}
    return WorkerTokenAuthentication().authenticate(APIRequestFactory().get("/", **headers))


@pytest.mark.parametrize("status", ["starting", "running", "paused"])
def test_token_of_a_living_worker_acts_as_its_owner(status: str) -> None:
    owner = make_user()
    worker, token = with_token(status=status, owner_id=owner.pk)

    assert authenticate(f"Worker {token}") == (owner, worker)


@pytest.mark.parametrize("status", sorted(set(WorkerStatus.values) - {"starting", "running", "paused"}))
def test_token_of_any_other_worker_is_refused(status: str) -> None:
    _, token = with_token(status=status)

    with pytest.raises(AuthenticationFailed):
        authenticate(f"Worker {token}")


@pytest.mark.parametrize(
    "header", ["Worker", "Worker a b", "Worker " + "x" * 300, "Worker \xff", "worker nothing"]
)
def test_malformed_or_unknown_token_is_refused(header: str) -> None:
    with pytest.raises(AuthenticationFailed):
        authenticate(header)


@pytest.mark.parametrize("header", [None, "Token abc", "Basic abc", ""])
def test_other_schemes_are_left_to_others(header: str | None) -> None:
    assert authenticate(header) is None


def test_worker_of_a_disabled_owner_is_refused() -> None:
    _, token = with_token(owner_id=make_user(is_active=False).pk)

    with pytest.raises(AuthenticationFailed):
        authenticate(f"Worker {token}")
