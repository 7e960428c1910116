"""Chooses this app's adapters and limits; the only module of it that reads settings."""

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from apps.projects import templating
from apps.projects.bundles import BundleLimits
from apps.projects.forge.base import Forge
from apps.projects.forge.github.config import GitHubConfig
from apps.projects.forge.github.deliveries import Deliveries
from apps.projects.forge.hosting import Hosting
from apps.projects.forge.local import LocalForge
from apps.projects.forge.network import network_environment
from apps.projects.models import ForgeName
from apps.projects.template_source import TemplateSource, configured_template
from apps.projects.templating import RenderResult, TemplateAnswers
from apps.projects.tools import Tools

if TYPE_CHECKING:
    from apps.projects.forge.github.adapter import GitHubForge


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How long things may take."""

    scaffold_deadline: timedelta
    merge_deadline: timedelta
    checks_deadline: timedelta  # of the git host's own checks of a pull request


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
    if name == ForgeName.GITHUB:
        return get_github()
    raise ImproperlyConfigured(f"There is no forge named {name!r}.")


def list_forges() -> list[str]:
    """Return the git hosts that this installation is set up for: the one here, and GitHub with an app."""
    has_github = settings.GITHUB_ORG and settings.GITHUB_APP_ID
    return [ForgeName.LOCAL, *([ForgeName.GITHUB] if has_github else [])]


def get_github_config() -> GitHubConfig:
    """Return what the settings say about GitHub; nothing of it is checked before it is used."""
    return GitHubConfig(
        organisation=settings.GITHUB_ORG,
        app_id=settings.GITHUB_APP_ID,
        private_key=settings.GITHUB_APP_PRIVATE_KEY,
        private_key_path=settings.GITHUB_APP_PRIVATE_KEY_PATH,
        api_url=settings.GITHUB_API_BASE_URL,
        hourly_budget=settings.GITHUB_HOURLY_BUDGET,
        max_concurrent=settings.GITHUB_MAX_CONCURRENT,
    )


def get_github() -> "GitHubForge":
    """Return the adapter of GitHub; its verbs raise what is wrong with the settings."""
    return _github(get_github_config(), settings.REDIS_URL, Path(settings.VAR_DIR) / "mirrors")


@lru_cache(maxsize=2)
def _github(config: GitHubConfig, redis_url: str, mirrors: Path) -> "GitHubForge":
    # Loaded by whoever has a project there: its library has a class for everything that GitHub knows.
    from apps.projects.forge.github.adapter import make_forge

    network = network_environment(settings.UNITS_OUTER_ENVIRONMENT)
    return make_forge(config, redis_url=redis_url, mirrors=mirrors, network=network)


@lru_cache(maxsize=2)
def _deliveries(redis_url: str) -> Deliveries:
    return Deliveries(redis_url)


def get_deliveries() -> Deliveries:
    """Return the memory of webhook deliveries."""
    return _deliveries(settings.REDIS_URL)


def get_hosting(name: str) -> Hosting | None:
    """Return the half of a git host with pull requests and workflows; the local forge has none."""
    return get_github() if name == ForgeName.GITHUB else None


def get_limits(forge: str = ForgeName.LOCAL) -> Limits:
    """Return the limits that the settings hold; a git host elsewhere may be away or make us wait.

    Args:
        forge: one of ForgeName, as the project's row says.

    """
    patience = 0 if forge == ForgeName.LOCAL else settings.PROJECTS_HOST_PATIENCE_SECONDS
    return Limits(
        scaffold_deadline=timedelta(seconds=max(settings.PROJECTS_SCAFFOLD_DEADLINE_SECONDS, patience)),
        merge_deadline=timedelta(seconds=max(settings.PROJECTS_MERGE_DEADLINE_SECONDS, patience)),
        checks_deadline=timedelta(seconds=settings.PROJECTS_CHECKS_DEADLINE_SECONDS),
    )


def workflow_deadline() -> timedelta:
    """Return how long a dispatched workflow may take; then it is canceled."""
    return timedelta(seconds=settings.PROJECTS_WORKFLOW_DEADLINE_SECONDS)


def scratch() -> Path:
    """Return the place of temporary directories: beside the storage, so that what a kill left is found."""
    return Path(settings.VAR_DIR) / "scratch"


def get_template() -> TemplateSource | None:
    """Return the template that the settings name; None for ours.

    Raises:
        TemplateSourceInvalid: a ref or a table is set, but no template.
        TemplateMappingInvalid: the table of its answers cannot be used.

    """
    return configured_template(
        location=settings.SCAFFOLD_TEMPLATE,
        ref=settings.SCAFFOLD_TEMPLATE_REF,
        table=settings.SCAFFOLD_TEMPLATE_MAP,
        var_dir=Path(settings.VAR_DIR),
        network=network_environment(settings.UNITS_OUTER_ENVIRONMENT),
    )


def render_project(destination: Path, *, answers: TemplateAnswers) -> RenderResult:
    """Render a project from the template that the settings name; see `templating.render`.

    Whether that template can be used is found out here, not before: nothing else depends on it.
    """
    return templating.render(destination, answers=answers, source=get_template())


def get_tools(forge: str) -> Tools:
    """Return what the reconcilers work with for a project on this git host."""
    return Tools(
        forge=get_forge(forge),
        hosting=get_hosting(forge),
        scratch=scratch(),
        bundle_limits=BundleLimits(max_bytes=settings.PROJECTS_BUNDLE_MAX_BYTES),
        render=render_project,
        first_pause=timedelta(seconds=settings.PROJECTS_POLL_SECONDS),
        telegram_url=settings.TELEGRAM_API_BASE_URL,
        merge_patience=get_limits(forge).merge_deadline,
    )
