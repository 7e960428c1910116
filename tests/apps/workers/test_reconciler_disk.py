"""What fills the disk is ended, with that reason."""

import pytest

from apps.workers.composition import Hands
from apps.workers.models import VerificationStatus, Worker
from apps.workers.reconciler_disk import bound_disks
from tests.apps.workers.conftest import MakeWorker
from tests.factories import make_verification
from tests.fakes_runtime import FakeRuntime
from tests.runtime_stages import spec

pytestmark = [pytest.mark.service, pytest.mark.django_db]

MIB = 2**20


def test_worker_over_the_limit_is_stopped_and_its_neighbor_is_not(
    running: MakeWorker, hands: Hands, runtime: FakeRuntime
) -> None:
    full, modest = running(), running()
    runtime.disk = {
        full.container_name: 11 * MIB,
        modest.container_name: 10 * MIB,
        "somebody-elses": 99 * MIB,
    }

    follow_ups = bound_disks(hands=hands, limit_mb=10)

    assert [follow_up.id for follow_up in follow_ups] == [full.pk]
    reasons = dict(Worker.objects.values_list("pk", "stop_failure__code"))
    assert reasons == {full.pk: "disk_full", modest.pk: None}


def test_second_look_decides_nothing_new(running: MakeWorker, hands: Hands, runtime: FakeRuntime) -> None:
    runtime.disk = {running().container_name: 11 * MIB}
    bound_disks(hands=hands, limit_mb=10)

    assert bound_disks(hands=hands, limit_mb=10) == []


def test_checks_over_the_limit_fail_and_are_gone(hands: Hands, runtime: FakeRuntime) -> None:
    row = make_verification(status=VerificationStatus.RUNNING, attempts=1)
    runtime.start(spec(row.container_name))
    runtime.disk = {row.container_name: 11 * MIB}

    bound_disks(hands=hands, limit_mb=10)

    row.refresh_from_db()
    assert row.status == VerificationStatus.FAILED
    assert row.failure is not None
    assert (row.failure["code"], row.failure["stage"]) == ("disk_full", "verification")
    assert runtime.inspect(row.container_name) is None
