"""A release on this machine, from a bundle to a URL, with real processes."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from apps.infra import services
from apps.infra.models import PortAllocation, ServiceDeployment
from apps.units import layout
from tests.target_stages import LocalStage, Source, wait_for

pytestmark = [pytest.mark.service, pytest.mark.django_db]


@pytest.fixture
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="release-", dir="/tmp"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def stage(place: Path) -> Iterator[LocalStage]:
    result = LocalStage(place)
    yield result
    for name in result.target.list_jobs():
        result.target.end(name)


@pytest.fixture
def target(stage: LocalStage) -> Any:
    return stage.target


@pytest.fixture
def release(place: Path, ask: Callable[..., Any]) -> Callable[..., Any]:
    source = Source(place)

    def request(key: str, **changes: Any) -> Any:
        fields = {
            "commit_sha": source.sha,
            "bundle_name": source.name,
            "bundle_sha256": source.sha256,
            "run_command": "python3 serve.py",
            **changes,
        }
        return ask(key, **fields)

    return request


@pytest.fixture
def reach(step: Callable[..., bool]) -> Callable[..., ServiceDeployment]:
    """Step, as the sweep would, until the row has the status."""

    def until(deployment_id: Any, status: str) -> ServiceDeployment:
        def arrived() -> bool:
            step(deployment_id)
            return ServiceDeployment.objects.get(pk=deployment_id).status == status

        wait_for(arrived, 30)
        return ServiceDeployment.objects.get(pk=deployment_id)

    return until


def visits(row: ServiceDeployment) -> int:
    return int(httpx.get(row.url, trust_env=False).text)


def pid_of(stage: LocalStage, name: str) -> int:
    process = layout.read_json(str(stage.units.directory / name), layout.PROCESS)
    assert process is not None
    return int(str(process["pid"]))


def is_answering(row: ServiceDeployment) -> bool:
    try:
        return httpx.get(row.url, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def test_life_of_two_releases(release, reach, step, stage):
    old = reach(release("old"), "live")
    first = visits(old)

    new = reach(release("new"), "live")
    reach(old.pk, "stopped")

    assert visits(new) > first, "the data are kept"
    assert new.url == old.url
    own = PortAllocation.objects.exclude(deployment=None)
    assert list(own.values_list("deployment_id", flat=True)) == [new.pk]


def test_service_that_was_killed_comes_back_with_its_data(release, reach, step, stage):
    row = reach(release("one"), "live")
    before = visits(row)
    # As if it had run for a while: one that ends at once is given a pause.
    name = f"service-{row.pk}-1"
    directory = str(stage.units.directory / name)
    process = layout.read_json(directory, layout.PROCESS)
    layout.write_json(directory, layout.PROCESS, {**process, "started_at": process["started_at"] - 60})
    os.kill(pid_of(stage, name), signal.SIGKILL)
    wait_for(lambda: (stage.units.directory / name / layout.EXIT).exists())

    while step(row.pk):
        pass
    wait_for(lambda: is_answering(row))

    assert visits(row) > before
    assert row.reload().starts == 2


def test_after_everything_was_stopped_the_service_returns_to_its_port(release, reach, step, stage):
    row = reach(release("one"), "live")
    stage.units.stop_all(grace_seconds=1)
    stage.units.remove(f"service-{row.pk}-1")
    assert not is_answering(row)

    step(row.pk)

    wait_for(lambda: is_answering(row))


def test_stop_leaves_no_process_no_files_and_no_port(release, reach, stage, place):
    row = reach(release("one"), "live")

    services.stop_deployment(deployment_id=row.pk)
    reach(row.pk, "stopped")

    assert not is_answering(row)
    assert stage.target.list_jobs() == {}
    assert list((place / "releases").iterdir()) == []
    assert not PortAllocation.objects.exclude(deployment=None).exists()


def test_failing_setup_tells_its_log(release, reach):
    row = reach(release("one", setup_command="echo no such package >&2; exit 3"), "failed")

    assert row.failure["code"] == "setup_failed"
    assert row.failure["details"]["log_tail"] == "no such package\n"


def test_commit_that_is_not_in_the_bundle_fails(release, reach):
    row = reach(release("one", commit_sha="0" * 40), "failed")

    assert row.failure["code"] == "setup_failed"
