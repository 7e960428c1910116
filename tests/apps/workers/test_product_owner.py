"""What a person's Product Owner leaves goes when the person does."""

import pytest
from django.db import transaction

from apps.workers import product_owner, services
from apps.workers.composition import Hands
from apps.workers.models import DepartedOwner, Worker, WorkerStatus
from apps.workers.reconciler_orphans import remove_orphans
from apps.workers.requests import WorkerRequest
from tests.factories import make_user, make_worker
from tests.fakes_runtime import FakeRuntime

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def test_home_goes_with_its_person_and_with_nobody_else(hands: Hands, runtime: FakeRuntime) -> None:
    person, other = make_user(), make_user()
    for owner in (person, other):
        make_worker(worker_type="po", owner_id=owner.pk, status=WorkerStatus.SUCCEEDED)
        runtime.homes.add(product_owner.home_name(owner.pk))

    person.delete()
    during = set(runtime.homes)
    removed = remove_orphans(hands=hands)

    assert len(during) == 2, "nothing may happen to it in the request"
    assert removed == 1
    assert runtime.homes == {product_owner.home_name(other.pk)}
    assert not DepartedOwner.objects.exists()


def test_deletion_ends_the_product_owner_first(hands: Hands, runtime: FakeRuntime) -> None:
    person = make_user()
    wanted = WorkerRequest(worker_type="po", owner_id=person.pk, profile="PRODUCT_OWNER")
    worker_id = services.request_worker(idempotency_key="one", request=wanted)
    home = product_owner.home_name(person.pk)
    runtime.homes.add(home)

    person.delete()
    product_owner.remove_homes(runtime)
    during = set(runtime.homes)
    Worker.transition(worker_id, to=WorkerStatus.CANCELED)
    product_owner.remove_homes(runtime)

    assert during == {home}
    assert runtime.homes == set()


def test_removal_that_fails_is_tried_again(runtime: FakeRuntime) -> None:
    people = [make_user(), make_user()]
    for person in people:
        make_worker(worker_type="po", owner_id=person.pk, status=WorkerStatus.CRASHED)
        runtime.homes.add(product_owner.home_name(person.pk))
        person.delete()
    runtime.is_down = True

    in_vain = product_owner.remove_homes(runtime)
    left = DepartedOwner.objects.count()
    runtime.is_down = False
    runtime.fails_after = {"remove_home"}
    first = product_owner.remove_homes(runtime)
    second = product_owner.remove_homes(runtime)

    assert (in_vain, left, first, second) == (0, 2, 1, 1)
    assert runtime.homes == set()
    assert not DepartedOwner.objects.exists()


def test_deletion_that_is_taken_back_keeps_the_home(runtime: FakeRuntime) -> None:
    person = make_user()
    make_worker(worker_type="po", owner_id=person.pk, status=WorkerStatus.SUCCEEDED)
    home = product_owner.home_name(person.pk)
    runtime.homes.add(home)

    before = transaction.savepoint()
    person.delete()
    transaction.savepoint_rollback(before)
    product_owner.remove_homes(runtime)

    assert runtime.homes == {home}


def test_person_without_a_product_owner_leaves_nothing_to_do() -> None:
    person = make_user()
    make_worker(owner_id=person.pk)

    person.delete()

    assert not DepartedOwner.objects.exists()
