"""Which runtime this machine can offer, and why; without Django, because the stack asks it first of all."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests
from docker.errors import APIError, ImageNotFound

from apps.workers.runtime import base
from apps.workers.runtime.docker import DockerRuntime
from apps.workers.runtime.docker_client import asking

AUTO, DOCKER, PROCESS = "auto", "docker", "process"
#: A registry that does not answer by then cannot be counted on.
_REGISTRY_SECONDS: Final = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeChoice:
    """The runtime that workers get."""

    runtime: str
    reason: str
    base_image: str = ""
    """What their images are built on; empty for processes."""


def choose(
    wanted: str, *, docker: DockerRuntime, base_images: Sequence[str], interface: str
) -> RuntimeChoice:
    """Return the runtime to use: the wanted one, or with ``auto`` containers where they are possible.

    Makes the network of the containers, to see that its gateway is an address of this machine.

    Args:
        wanted: WORKERS_RUNTIME.
        docker: the runtime to try; its timeout bounds this call.
        base_images: what worker images may be built on, the best first.
        interface: name of the network interface that the containers' bridge has.

    Raises:
        ValueError: there is no such runtime.
    """
    if wanted == PROCESS:
        return RuntimeChoice(runtime=PROCESS, reason="WORKERS_RUNTIME=process")
    if wanted not in (AUTO, DOCKER):
        raise ValueError(f"WORKERS_RUNTIME must be {AUTO}, {DOCKER} or {PROCESS}, not {wanted!r}")
    found = look(docker, base_images)
    if found.runtime == DOCKER and (obstacle := _gateway_obstacle(docker, interface)):
        found = RuntimeChoice(runtime=PROCESS, reason=obstacle)
    if found.runtime == PROCESS and wanted == DOCKER:
        reason = f"WORKERS_RUNTIME=docker, although {found.reason}"
        return RuntimeChoice(runtime=DOCKER, reason=reason, base_image=base_images[0])
    return found


def look(docker: DockerRuntime, base_images: Sequence[str]) -> RuntimeChoice:
    """Return what is possible on this machine, without changing anything."""
    try:
        with asking():
            client = docker.connection.client()
            version = client.version().get("Version", "?")
            image = next((name for name in base_images if _is_here(client, name)), None)
    except base.RuntimeUnavailable:
        return RuntimeChoice(runtime=PROCESS, reason="no Docker daemon answers")
    if image is not None:
        reason = f"Docker {version} answers and has {image}"
        return RuntimeChoice(runtime=DOCKER, reason=reason, base_image=image)
    if _can_be_pulled(docker, base_images[0]):
        reason = f"Docker {version} answers and can pull {base_images[0]}"
        return RuntimeChoice(runtime=DOCKER, reason=reason, base_image=base_images[0])
    missing = f"Docker {version} answers, but {base_images[0]} is neither there nor can it be pulled"
    return RuntimeChoice(runtime=PROCESS, reason=f"{missing} (set WORKERS_BASE_IMAGE)")


def _is_here(client: Any, name: str) -> bool:
    try:
        client.images.get(name)
    except ImageNotFound:
        return False
    return True


def _can_be_pulled(docker: DockerRuntime, name: str) -> bool:
    try:
        client = docker.connection.fresh(_REGISTRY_SECONDS)
        try:
            client.images.get_registry_data(name)
        finally:
            client.close()
    except (APIError, requests.RequestException):
        return False
    return True


def _gateway_obstacle(docker: DockerRuntime, interface: str) -> str:
    """Return why the control plane could not listen for containers; empty if it can."""
    try:
        docker.gateway()
    except (base.RuntimeUnavailable, base.ContainerRefused) as error:
        return f"the network of the workers could not be made: {error.message}"
    if Path("/sys/class/net", interface).exists():
        return ""
    docker.dissolve()
    return "the Docker daemon runs on another machine, so its containers could not reach this one"
