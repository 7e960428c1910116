"""The Docker daemon of this installation: its containers, its images, and what both begin with."""

from collections.abc import Mapping
from functools import cache
from typing import Final

import structlog
from django.conf import settings

from apps.workers.image_builder import ImageBuilder, mirrors
from apps.workers.runtime import choice
from apps.workers.runtime.docker import DockerRuntime
from apps.workers.runtime.docker_images import DockerImages

logger = structlog.get_logger(__name__)

#: Where packages come from. Certificates are in the images, paths of this machine mean nothing in them.
_REGISTRIES: Final = (
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL"),
    *("UV_EXTRA_INDEX_URL", "NPM_CONFIG_REGISTRY"),
)


@cache
def runtime_name() -> str:
    """Return the runtime that WORKERS_RUNTIME names, or with ``auto`` the one that this machine offers.

    The stack decides ``auto`` once for all its processes; only what runs without it decides here.

    Raises:
        ValueError: there is no such runtime.

    """
    if settings.WORKERS_RUNTIME in (choice.DOCKER, choice.PROCESS):
        return str(settings.WORKERS_RUNTIME)
    chosen = choice.choose(
        settings.WORKERS_RUNTIME,
        docker=get_docker(),
        base_images=[settings.WORKERS_BASE_IMAGE],
        interface=settings.WORKERS_BRIDGE,
    )
    logger.info("runtime_chosen", runtime=chosen.runtime, reason=chosen.reason)
    return chosen.runtime


@cache
def get_docker() -> DockerRuntime:
    """Return the containers of this installation; nothing is asked yet."""
    return DockerRuntime(
        installation=settings.WORKERS_INSTALLATION,
        default_image=lambda: get_image_builder().base_tag,
        proxy_port=settings.WORKERS_EDGE_PROXY_PORT if settings.WORKERS_EGRESS == "open" else None,
        environment=registries(settings.UNITS_OUTER_ENVIRONMENT),
        interface=settings.WORKERS_BRIDGE,
    )


@cache
def get_image_builder() -> ImageBuilder:
    """Return the recipes of this installation's images."""
    images = DockerImages(installation=settings.WORKERS_INSTALLATION)
    outer = settings.UNITS_OUTER_ENVIRONMENT
    return ImageBuilder(images, prefix=settings.WORKERS_IMAGE_PREFIX, arguments=mirrors(outer))


def registries(outer: Mapping[str, str]) -> dict[str, str]:
    """Return the package registries of this machine that a container can use.

    Those on this machine's disk are left out, and those with a password, which an agent could read.
    """
    found = {}
    for name in _REGISTRIES:
        words = outer.get(name, "").split()
        kept = [word for word in words if word.startswith(("http://", "https://")) and "@" not in word]
        if kept:
            found[name] = " ".join(kept)
    return found
