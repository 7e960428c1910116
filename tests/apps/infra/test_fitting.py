"""Where a release fits, and why nowhere."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone

from apps.graph.admission import MOVES
from apps.infra import allocation
from apps.infra.fitting import Decision, Fits, Need, Reason, Room, decide
from apps.infra.models import PortAllocation, ServerMetric
from tests.factories import make_server
from tests.ssh_server import make_key, public_part

NEED = Need(ports=2, memory_mb=256, disk_mb=1_024)
ROOM = Room(
    server_id=1,
    ports=100,
    free_ports=50,
    age_seconds=60,
    memory_mb=2_048,
    free_memory_mb=1_024,
    free_disk_mb=10_000,
)
FULL = replace(ROOM, free_ports=1)


def chosen(*rooms: Room) -> Decision:
    return decide(rooms, NEED, fresh_seconds=600)


@pytest.mark.unit
@pytest.mark.parametrize(
    ("room", "reason"),
    [
        (ROOM, None),
        (replace(ROOM, age_seconds=None, free_memory_mb=None, free_disk_mb=None), None),
        (FULL, Reason.NO_PORTS),
        (replace(ROOM, free_memory_mb=255), Reason.LOW_MEMORY),
        (replace(ROOM, promised_mb=769), Reason.LOW_MEMORY),
        (replace(ROOM, promised_mb=768), None),
        (replace(ROOM, free_disk_mb=1_023), Reason.LOW_DISK),
        (replace(ROOM, age_seconds=601), Reason.NO_FRESH_METRICS),
        (replace(ROOM, free_memory_mb=None), Reason.NO_FRESH_METRICS),
        (replace(ROOM, free_disk_mb=None), Reason.NO_FRESH_METRICS),
        (replace(ROOM, ports=1, free_ports=1), Reason.TOO_LARGE),
        (replace(ROOM, memory_mb=128), Reason.TOO_LARGE),
    ],
)
def test_one_server_fits_or_says_why_not(room: Room, reason: Reason | None) -> None:
    assert chosen(room).reason == reason


@pytest.mark.unit
def test_first_server_with_room_is_taken() -> None:
    second = replace(ROOM, server_id=2)

    assert chosen(FULL, second, replace(ROOM, server_id=3)) == Decision(fits=Fits.NOW, server_id=2)


@pytest.mark.unit
def test_what_passes_is_waited_for_as_long_as_one_server_is_large_enough() -> None:
    small = replace(ROOM, memory_mb=128)

    assert chosen(small, FULL) == Decision(fits=Fits.LATER, reason=Reason.NO_PORTS)
    assert chosen(small, small) == Decision(fits=Fits.NEVER, reason=Reason.TOO_LARGE)
    assert chosen().fits is Fits.LATER


@pytest.mark.unit
def test_every_reason_is_told_as_itself_and_has_its_move() -> None:
    codes = {reason: allocation.REFUSALS[reason].code for reason in Reason}

    assert codes == {reason: str(reason) for reason in Reason}
    assert set(codes.values()) <= set(MOVES)


def make_host(**fields):
    return make_server(
        kind="ssh",
        ssh_user="deploy",
        host_key=public_part(make_key()),
        identity=make_key().export_private_key("openssh").decode(),
        **fields,
    )


def measure(server, **fields) -> None:
    known = {"memory_total_mb": 2_048, "memory_available_mb": 1_024, "disk_free_mb": 10_000}
    ServerMetric.objects.create(server=server, **{**known, **fields})


def choose(*roles: str):
    return allocation.choose_for_project(project_id=uuid4(), roles=roles or ("web",))


@pytest.mark.service
@pytest.mark.django_db(transaction=True)
class TestChoice:
    @pytest.fixture(autouse=True)
    def _in_a_transaction(self, db):
        with transaction.atomic():
            yield

    def test_last_measurement_counts(self):
        low, well = make_host(), make_host()
        measure(low, measured_at=timezone.now() - timedelta(minutes=5))
        measure(low, memory_available_mb=20)
        measure(well)

        assert choose() == well

    def test_server_that_cannot_be_logged_in_to_is_passed_over(self):
        make_server(kind="ssh")
        well = make_host()

        assert choose() == well

    def test_server_with_docker_goes_before_one_that_nobody_knows(self):
        bare, unknown, well = make_host(), make_host(), make_host()
        measure(bare)
        measure(well, containers_running=0)

        found = choose()
        ServerMetric.objects.filter(server=well).update(memory_available_mb=20)

        assert found == well
        assert choose() == unknown

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"memory_available_mb": 20}, allocation.LowMemory),
            ({"disk_free_mb": 20}, allocation.LowDisk),
            ({"disk_free_mb": None}, allocation.NoFreshMetrics),
            ({"measured_at": timezone.now() - timedelta(days=1)}, allocation.NoFreshMetrics),
            ({"memory_total_mb": 64}, allocation.NeverFits),
        ],
    )
    def test_server_without_room_is_refused_by_name(self, fields, error):
        measure(make_host(), **fields)

        with pytest.raises(error):
            choose()

    def test_what_was_given_away_since_the_measurement_is_not_given_twice(self, settings):
        host = make_host()
        measure(host, memory_available_mb=300, measured_at=timezone.now() - timedelta(minutes=1))
        before = choose()
        for port in (21_000, 21_001):
            PortAllocation.objects.create(
                server=host, port=port, project_id=uuid4(), service_name="project", role="web"
            )

        with pytest.raises(allocation.LowMemory):
            choose()
        assert before == host

    def test_server_that_nobody_has_measured_is_taken_at_its_operators_word(self):
        host = make_host()

        assert choose() == host
