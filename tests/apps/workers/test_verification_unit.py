"""What a verification's container is given of the installers' cache, and that nobody can change that."""

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.workers import composition, engine, verification_unit
from apps.workers.runtime.base import HostMount
from apps.workers.runtime.docker import DockerRuntime
from tests import docker_engine
from tests.factories import make_verification
from tests.runtime_stages import phase_of, spec, wait_for

TRY = (
    "test -r $PACKAGE_CACHE/archive-v0/module.py || exit 3; cd $PACKAGE_CACHE/archive-v0;"
    " echo bad 2>/dev/null >module.py || echo bad 2>/dev/null >new.py || rm -f module.py 2>/dev/null"
    " || mv module.py other.py 2>/dev/null || chmod 777 module.py 2>/dev/null || { echo refused; sleep 60; }"
)


@pytest.fixture
def cache() -> Iterator[Path]:
    """A filled cache that is worth protecting: it belongs to whoever runs the container, too."""
    place = Path(tempfile.mkdtemp(dir="/tmp", prefix="cache-"))
    (place / "uv" / "archive-v0").mkdir(parents=True)
    (place / "uv" / "archive-v0" / "module.py").write_text("good")
    (place / "uv.complete").touch()
    for path in place.rglob("*"):
        path.chmod(0o777)
    yield place / "uv"
    shutil.rmtree(place)


@pytest.mark.service
@pytest.mark.django_db
def test_cache_is_laid_beside_a_verification_read_only(cache: Path, tmp_path: Path) -> None:
    row = make_verification()

    with_cache = verification_unit.container_spec(row, tmp_path, tmp_path, seconds=9, package_cache=cache)
    without = verification_unit.container_spec(row, tmp_path, tmp_path, seconds=9)

    assert with_cache.mounts == (HostMount(source=cache, target="/opt/packages", read_only=True),)
    assert with_cache.environment == {"PACKAGE_CACHE": "/opt/packages"}
    assert (without.mounts, dict(without.environment)) == ((), {})


@pytest.mark.service
@pytest.mark.parametrize(
    ("runtime", "interface", "mark", "is_offered"),
    [
        ("docker", "lo", True, True),
        ("docker", "lo", False, False),
        ("docker", "of-another-machine", True, False),
        ("process", "lo", True, False),
    ],
)
def test_only_a_complete_cache_is_offered_and_only_to_a_daemon_of_this_machine(
    cache: Path, settings: Any, runtime: str, interface: str, mark: bool, is_offered: bool
) -> None:
    settings.WORKERS_RUNTIME, settings.WORKERS_BRIDGE = runtime, interface
    settings.PACKAGE_CACHE_DIR = cache
    engine.runtime_name.cache_clear()
    if not mark:
        cache.with_name("uv.complete").unlink()

    found = composition.get_package_cache()

    engine.runtime_name.cache_clear()
    assert found == (cache if is_offered else None)


@pytest.mark.service
@pytest.mark.docker
def test_nobody_in_a_container_can_change_what_the_next_one_installs(cache: Path) -> None:
    name = f"verification-{uuid.uuid4()}"
    mount = HostMount(source=cache, target="/opt/packages", read_only=True)
    environment = {"PACKAGE_CACHE": mount.target}
    runtime: DockerRuntime
    with docker_engine.installation() as runtime:
        runtime.start(spec(name, command=("sh", "-c", TRY), mounts=(mount,), environment=environment))
        wait_for(lambda: runtime.logs(name, tail_bytes=100) or phase_of(runtime, name) == "exited")
        said = runtime.logs(name, tail_bytes=100)

    assert said == "refused\n"
    assert [path.read_text() for path in (cache / "archive-v0").iterdir()] == ["good"]
