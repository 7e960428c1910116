"""The Docker engine of this machine for tests: a small image, and a place that is cleaned up."""

import hashlib
import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import docker
import pytest
from docker.errors import DockerException, ImageNotFound

from apps.workers.runtime.docker import DockerRuntime
from orchestrator.installation import BASE_IMAGE, LOCAL_BASE_IMAGE

#: Any of these will do: a Debian with coreutils and a shell.
_BASES = (os.environ.get("WORKERS_BASE_IMAGE") or BASE_IMAGE, LOCAL_BASE_IMAGE)
_RECIPE = """\
FROM {base}
RUN useradd --uid 1000 --user-group --create-home worker \\
    && install -d -o worker -g worker /workspace /inputs /home/worker
"""


def client() -> docker.DockerClient:
    """Return a client, or skip the test where no daemon answers."""
    try:
        return docker.DockerClient.from_env(timeout=60, version="auto")
    except DockerException as error:
        pytest.skip(f"no Docker daemon answers: {error}")


@cache
def small_image() -> str:
    """Return an image with the user and the directories that a container needs, and little else."""
    engine = client()
    for base in _BASES:
        try:
            identity = engine.images.get(base).id
        except ImageNotFound:
            continue
        recipe = _RECIPE.format(base=base)
        tag = f"codegen-test-small:{hashlib.sha256((recipe + str(identity)).encode()).hexdigest()[:12]}"
        try:
            engine.images.get(tag)
        except ImageNotFound:
            engine.images.build(fileobj=io.BytesIO(recipe.encode()), tag=tag, rm=True, forcerm=True)
        engine.close()
        return tag
    pytest.skip(f"none of these images is here: {', '.join(_BASES)}")


@contextmanager
def installation(**options: Any) -> Iterator[DockerRuntime]:
    """A runtime whose every container, volume and network is gone afterwards."""
    arguments: dict[str, Any] = {
        "installation": f"t{secrets.token_hex(5)}",
        "default_image": small_image,
        **options,
    }
    runtime = DockerRuntime(**arguments)
    try:
        yield runtime
    finally:
        runtime.dissolve(keep_homes=False)
        runtime.connection.client().close()
