"""Chooses this app's adapters and limits; the only module of it that reads settings."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from apps.projects.bundles import BundleLimits
from apps.projects.forge.base import Forge
from apps.projects.forge.hosting import Hosting
from apps.projects.forge.local import LocalForge
from apps.projects.models import ForgeName
from apps.projects.tools import Tools


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How long things may take."""

    scaffold_deadline: timedelta
    merge_deadline: timedelta


def default_forge() -> str:
    """Return the git host that new projects are made on: what PROJECTS_FORGE names.

    Raises:
        ImproperlyConfigured: there is no such adapter.

    """
    if settings.PROJECTS_FORGE not in ForgeName.values:
        known = ", ".join(ForgeName.values)
        raise ImproperlyConfigured(f"PROJECTS_FORGE is {settings.PROJECTS_FORGE!r}; known are {known}.")
    return str(settings.PROJECTS_FORGE)


def get_forge(name: str) -> Forge:
    """Return the adapter of a git host.

    Args:
        name: one of ForgeName, as a project's row says.

    Raises:
        ImproperlyConfigured: the adapter is not configured.

    """
    if name == ForgeName.LOCAL:
        return LocalForge(settings.FORGE_DIR)
    raise ImproperlyConfigured(f"There is no forge named {name!r}.")


def get_hosting(name: str) -> Hosting | None:
    """Return the half of a git host with pull requests and workflows; the local forge has none."""
    return None if name == ForgeName.LOCAL else cast(Hosting, get_forge(name))


def get_limits() -> Limits:
    """Return the limits that the settings hold."""
    return Limits(
        scaffold_deadline=timedelta(seconds=settings.PROJECTS_SCAFFOLD_DEADLINE_SECONDS),
        merge_deadline=timedelta(seconds=settings.PROJECTS_MERGE_DEADLINE_SECONDS),
    )


def scratch() -> Path:
    """Return the place of temporary directories: beside the storage, so that what a kill left is found."""
    return Path(settings.VAR_DIR) / "scratch"


def get_tools(forge: str) -> Tools:
    """Return what the reconcilers work with for a project on this git host."""
    return Tools(
        forge=get_forge(forge),
        hosting=get_hosting(forge),
        scratch=scratch(),
        bundle_limits=BundleLimits(max_bytes=settings.PROJECTS_BUNDLE_MAX_BYTES),
    )
