"""What an operator does by hand with the images of workers, and what the image says of itself."""

import io
import time

import pytest
from django.core.management import CommandError, call_command

from tests import docker_engine
from tests.worker_images import built, real_builder

SECOND = 1_000_000_000


@pytest.mark.unit
def test_negative_age_is_refused() -> None:
    with pytest.raises(CommandError, match="--days must not be negative"):
        call_command("worker_gc", "--days", "-1")


@pytest.mark.service
@pytest.mark.docker
@pytest.mark.django_db
def test_dry_run_tells_what_would_go_and_removes_nothing() -> None:
    builder = real_builder()
    built(builder, builder.base())
    engine = docker_engine.client()
    before = {image.id for image in engine.images.list()}
    said = io.StringIO()

    call_command("worker_gc", "--dry-run", "--days", "0", stdout=said)

    lines = said.getvalue().splitlines()
    assert all(line.startswith("would remove ") for line in lines)
    assert "MB), kept " in lines[-1]
    assert before <= {image.id for image in engine.images.list()}
    engine.close()


@pytest.mark.service
@pytest.mark.docker
def test_container_started_by_hand_turns_healthy() -> None:
    builder = real_builder()
    built(builder, builder.base())
    engine = docker_engine.client()
    container = engine.containers.create(
        builder.base_tag,
        ["sleep", "60"],
        entrypoint=[],
        network_mode="none",
        # The image's own test, asked more often.
        healthcheck={"interval": SECOND, "timeout": 5 * SECOND, "retries": 3},
    )

    try:
        container.start()
        until = time.monotonic() + 30
        while container.attrs["State"].get("Health", {}).get("Status") != "healthy":
            assert time.monotonic() < until, container.attrs["State"]
            time.sleep(0.2)
            container.reload()
    finally:
        container.remove(force=True, v=True)
        engine.close()
