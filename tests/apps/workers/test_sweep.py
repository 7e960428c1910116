"""Which rows deserve a look."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.workers import selectors, sweep
from apps.workers.followups import FollowUp
from apps.workers.models import TurnStatus, VerificationStatus, Worker, WorkerStatus
from tests.factories import make_turn, make_verification, make_worker

pytestmark = [pytest.mark.service, pytest.mark.django_db]


@pytest.mark.parametrize(
    "fields",
    [
        {"status": WorkerStatus.PENDING},
        {"status": WorkerStatus.STARTING},
        {"status": WorkerStatus.CANCELING, "observed_at": timezone.now()},
        {"observed_at": timezone.now() - timedelta(seconds=10)},
        {"observed_at": timezone.now() + timedelta(hours=1), "released_at": timezone.now()},
        {"observed_at": timezone.now() + timedelta(hours=1), "stop_failure": {"code": "x"}},
        {"observed_at": timezone.now() + timedelta(hours=1), "removed_at": timezone.now()},
    ],
)
def test_worker_that_nobody_looks_after_is_due(fields: dict[str, Any]) -> None:
    worker = make_worker(**fields)

    assert sweep.list_due() == [FollowUp(kind="worker", id=worker.pk)]


def test_worker_that_was_just_seen_is_not_due() -> None:
    make_worker(observed_at=timezone.now())

    assert sweep.list_due() == []


@pytest.mark.parametrize("status", sorted(Worker.final_statuses()))
def test_ended_worker_is_never_due(status: str) -> None:
    make_worker(status=status)

    assert sweep.list_due() == []


def test_unfinished_turns_and_checks_are_due() -> None:
    worker = make_worker(observed_at=timezone.now())
    turn = make_turn(worker=worker, status=TurnStatus.RUNNING)
    make_turn(worker=worker, status=TurnStatus.FAILED)
    check = make_verification()
    make_verification(status=VerificationStatus.RUNNING, observed_at=timezone.now())
    make_verification(status=VerificationStatus.SUCCEEDED)

    assert sweep.list_due() == [
        FollowUp(kind="turn", id=turn.pk),
        FollowUp(kind="verification", id=check.pk),
    ]


def test_bundles_of_unfinished_rows_are_in_use() -> None:
    make_worker(workspace_name="workspaces/a.bundle")
    make_worker(workspace_name="workspaces/b.bundle", status=WorkerStatus.SUCCEEDED)
    make_verification(bundle_name="checkouts/c.bundle")

    assert selectors.bundle_names_in_use() == {"workspaces/a.bundle", "checkouts/c.bundle"}
