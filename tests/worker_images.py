"""Images for tests that need real ones: small ones of their own, and the real ones of this run."""

import secrets
from pathlib import Path

import docker
import pytest
from django.conf import settings
from docker.errors import ImageNotFound

from apps.workers.image_builder import ImageBuilder, mirrors
from apps.workers.image_recipe import BASE_DOCKERFILE, Recipe
from apps.workers.image_sources import Sources, read_sources
from apps.workers.runtime import image_build
from apps.workers.runtime.docker_images import DockerImages
from apps.workers.runtime.images import ImageState
from tests import docker_engine

_LOCAL_BASE_IMAGE = "codegen-debian:bookworm"
_SMALL = """\
ARG BASE_IMAGE
FROM ${{BASE_IMAGE}} AS common
USER root
RUN {command}
FROM common AS base
RUN mkdir -p /opt/worker/app && touch /opt/worker/app/x
"""


def small_builder(
    prefix: str, *, command: str = "sleep 0.2", installation: str | None = None
) -> ImageBuilder:
    """Return a builder whose base image is made in a second, and never found from before.

    Args:
        prefix: of its tags; ``forget`` removes what has it.
        command: what its base image runs when it is built.
        installation: whose the images are.

    """
    text = _SMALL.format(command=f"echo {secrets.token_hex(6)} > /nonce && {command}")
    sources = Sources(base_image=docker_engine.small_image(), files={BASE_DOCKERFILE: text.encode()})
    store = DockerImages(installation=installation or settings.WORKERS_INSTALLATION)
    return ImageBuilder(store, prefix=prefix, sources=lambda: sources)


def forget(prefix: str) -> None:
    """Remove every image of a prefix."""
    client = docker_engine.client()
    tags = [tag for image in client.images.list() for tag in image.tags]
    for tag in sorted(tags):
        if tag.startswith((f"{prefix}:", f"{prefix}-base:", f"{prefix}-common:")):
            client.images.remove(tag, force=True)
    client.close()


def real_builder() -> ImageBuilder:
    """Return the builder of this run's real images, or skip the test where they cannot be had."""
    base_image = _base_image()
    return ImageBuilder(
        DockerImages(installation=settings.WORKERS_INSTALLATION),
        prefix=settings.WORKERS_IMAGE_PREFIX,
        sources=lambda: read_sources(base_image, settings.WORKERS_EXTRA_CA_DIR),
        arguments=mirrors(settings.UNITS_OUTER_ENVIRONMENT),
    )


def built(builder: ImageBuilder, *recipes: Recipe, lines: list[str] | None = None) -> ImageState:
    """Build what is missing of these, and return the last one."""
    requests = [request for recipe in recipes for request in builder.pack(recipe).requests()]
    on_line = (lines if lines is not None else []).append
    return image_build.build_missing(builder.store, requests, locks=locks(), on_line=on_line)


def locks() -> Path:
    """Return where builds take turns."""
    return Path(settings.VAR_DIR) / "run" / "images"


def _base_image() -> str:
    client: docker.DockerClient = docker_engine.client()
    try:
        for name in (settings.WORKERS_BASE_IMAGE, _LOCAL_BASE_IMAGE):
            try:
                client.images.get(name)
            except ImageNotFound:
                continue
            return str(name)
    finally:
        client.close()
    pytest.skip(f"{settings.WORKERS_BASE_IMAGE} is not here (scripts/base_image makes one)")
