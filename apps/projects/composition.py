"""Chooses this app's adapters and limits; the only module of it that reads settings."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from apps.projects.bundles import BundleLimits
from apps.projects.forge.base import Forge
from apps.projects.forge.local import LocalForge
from apps.projects.tools import Tools


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How long things may take."""

    scaffold_deadline: timedelta
    merge_deadline: timedelta


def get_forge() -> Forge:
    """Return the git host that PROJECTS_FORGE names.

    Raises:
        ImproperlyConfigured: there is no such adapter.

    """
    if settings.PROJECTS_FORGE == "local":
        return LocalForge(settings.FORGE_DIR)
    raise ImproperlyConfigured(f"PROJECTS_FORGE is {settings.PROJECTS_FORGE!r}; known is 'local'.")


def get_limits() -> Limits:
    """Return the limits that the settings hold."""
    return Limits(
        scaffold_deadline=timedelta(seconds=settings.PROJECTS_SCAFFOLD_DEADLINE_SECONDS),
        merge_deadline=timedelta(seconds=settings.PROJECTS_MERGE_DEADLINE_SECONDS),
    )


def get_tools() -> Tools:
    """Return what the reconcilers work with."""
    return Tools(
        forge=get_forge(),
        # Beside the storage, so that the daily collection finds what a kill left.
        scratch=Path(settings.VAR_DIR) / "scratch",
        bundle_limits=BundleLimits(max_bytes=settings.PROJECTS_BUNDLE_MAX_BYTES),
    )
