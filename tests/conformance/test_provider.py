"""What every provider of servers must do; the real adapter speaks to a double over HTTP."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from apps.infra.providers import base
from apps.infra.providers.allowing import AllowingProvider
from apps.infra.providers.manual import ManualProvider
from apps.infra.providers.waiting import TaskTooSlow, wait_for_task
from tests.fakes_provider import FakeProvider
from tests.provider_server import ProviderServer

pytestmark = pytest.mark.unit


@dataclass
class Stage:
    """A provider with one server, and who makes its tasks end."""

    provider: base.Provider
    server_id: str
    finish_tasks: Callable[[], None]


@pytest.fixture(params=["fake", "time4vps"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    if request.param == "fake":
        fake = FakeProvider()
        fake.add("110")
        yield Stage(fake, "110", fake.finish_tasks)
        return
    with ProviderServer() as double:
        server = double.add_server()
        yield Stage(double.client(), str(server.server_id), double.finish_tasks)


def test_listing_names_each_server_by_an_id_that_stays(stage: Stage) -> None:
    first, again = stage.provider.list_servers(), stage.provider.list_servers()

    assert [server.provider_id for server in first] == [stage.server_id]
    assert first == again


def test_details_tell_what_is_known(stage: Stage) -> None:
    details = stage.provider.get_details(stage.server_id)

    assert (details.provider_id, details.address) == (stage.server_id, "203.0.113.10")
    assert (details.memory_mb, details.is_active, details.is_busy) == (2_048, True, False)


def test_unknown_server_and_task_are_refused(stage: Stage) -> None:
    for ask in (
        lambda: stage.provider.get_details("4711"),
        lambda: stage.provider.reset_password("4711"),
        lambda: stage.provider.get_task(stage.server_id, "4711"),
    ):
        with pytest.raises(base.NotAllowed):
            ask()


def test_new_password_is_told_by_the_task_once_it_is_over(stage: Stage) -> None:
    number = stage.provider.reset_password(stage.server_id)

    under_way = stage.provider.get_task(stage.server_id, number)
    is_busy = stage.provider.get_details(stage.server_id).is_busy
    stage.finish_tasks()
    over = stage.provider.get_task(stage.server_id, number)

    assert (under_way.is_done, under_way.password, is_busy) == (False, "", True)
    assert (over.is_done, bool(over.password)) == (True, True)
    assert over.password not in repr(over)


def test_reinstallation_is_a_task(stage: Stage) -> None:
    system = stage.provider.list_systems(stage.server_id)[0]

    number = stage.provider.reinstall(stage.server_id, system=system, public_key="ssh-ed25519 AAAA")
    stage.finish_tasks()

    assert stage.provider.get_task(stage.server_id, number).is_done


def test_reinstallation_under_way_is_told_from_other_tasks(stage: Stage) -> None:
    stage.provider.reset_password(stage.server_id)
    resetting = stage.provider.get_details(stage.server_id)
    stage.finish_tasks()
    system = stage.provider.list_systems(stage.server_id)[0]
    number = stage.provider.reinstall(stage.server_id, system=system, public_key="")

    reinstalling = stage.provider.get_details(stage.server_id)
    stage.finish_tasks()
    over = stage.provider.get_details(stage.server_id)

    assert (resetting.is_busy, resetting.is_reinstalling) == (True, False)
    assert (reinstalling.is_reinstalling, reinstalling.task in ("", number)) == (True, True)
    assert (over.is_busy, over.is_reinstalling, over.task) == (False, False, "")


def test_system_that_is_not_offered_is_refused(stage: Stage) -> None:
    with pytest.raises(base.NotAllowed):
        stage.provider.reinstall(stage.server_id, system="temple-os", public_key="")


@pytest.mark.parametrize("allowed", [[], ["time4vps:4711"], ["110"], ["other:110"], [":"]])
def test_server_that_is_not_listed_is_neither_shown_nor_touched(stage: Stage, allowed: list[str]) -> None:
    guarded = AllowingProvider(stage.provider, allowed=lambda: allowed)

    refusals = []
    for ask in (
        lambda: guarded.get_details(stage.server_id),
        lambda: guarded.reset_password(stage.server_id),
        lambda: guarded.reinstall(stage.server_id, system="debian-12", public_key=""),
    ):
        with pytest.raises(base.NotAllowed) as refused:
            ask()
        refusals.append(refused.value.error_code)

    assert guarded.list_servers() == []
    assert refusals == ["not_managed"] * 3
    assert not stage.provider.get_details(stage.server_id).is_busy


def test_list_is_read_anew_at_every_call(stage: Stage) -> None:
    allowed = [f"time4vps:{stage.server_id}"]
    guarded = AllowingProvider(stage.provider, allowed=lambda: allowed)
    before = len(guarded.list_servers())

    allowed.clear()

    with pytest.raises(base.NotAllowed):
        guarded.reset_password(stage.server_id)
    assert before == 1


def test_wait_ends_with_the_task_or_at_the_callers_deadline(stage: Stage) -> None:
    number = stage.provider.reset_password(stage.server_id)
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        if now[0] >= 100:
            stage.finish_tasks()

    def wait(seconds: float) -> base.ProviderTask:
        return wait_for_task(
            stage.provider,
            provider_id=stage.server_id,
            task=number,
            seconds=seconds,
            clock=lambda: now[0],
            sleep=sleep,
        )

    with pytest.raises(TaskTooSlow):
        wait(50)
    over = wait(300)

    assert over.is_done
    assert now[0] == 100


def test_nobody_is_asked_about_servers_that_an_operator_added() -> None:
    manual = ManualProvider()

    for ask in (
        manual.list_servers,
        lambda: manual.get_details("1"),
        lambda: manual.list_systems("1"),
        lambda: manual.reset_password("1"),
        lambda: manual.reinstall("1", system="debian-12", public_key=""),
        lambda: manual.get_task("1", "1"),
    ):
        with pytest.raises(base.NotAllowed):
            ask()
