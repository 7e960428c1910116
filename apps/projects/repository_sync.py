"""What git hosts list becomes rows: repositories of projects, unknown ones, renamed ones, missing ones.

A listing that failed tells nothing. An unknown repository is told of and left alone; a project whose
repository is missing keeps working or fails by its own verbs, and finds its way back by itself.
"""

from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings
from django.utils import timezone

from apps.errors import OrchestratorError
from apps.periodic.recording import Run
from apps.projects import signals
from apps.projects.forge.base import Forge
from apps.projects.forge.listing import ListedRepository
from apps.projects.models import HostedRepository, Project, ProjectStatus, RepositoryStatus

_FIGURES: Final = ("listed", "added", "unknown", "renamed", "missed", "missing", "returned")
_R = RepositoryStatus


def sync_forge(forge: Forge, *, name: str, run: Run) -> None:
    """Bring the rows of one git host in line with its listing.

    Args:
        forge: who is asked.
        name: one of ForgeName.
        run: what is recorded of this.

    """
    for figure in _FIGURES:
        run.count(figure, 0)
    # Before the listing: what is made meanwhile cannot be missed.
    projects = _projects_of(name)
    try:
        listed = forge.list_repositories()
    except OrchestratorError as error:
        run.fail(name, error)
        return
    run.count("listed", len(listed))
    for one in listed:
        with run.item(f"{name}:{one.name}"):
            _take(name, one, projects, run)
    present = {one.id for one in listed}
    for repository_id, project in projects.items():
        if repository_id not in present:
            with run.item(project.slug):
                _know(name, repository_id, project)
    for row in HostedRepository.objects.filter(forge=name).select_related("project"):
        if row.repository_id not in present:
            with run.item(row.name):
                _miss(row, run)


def is_in_use(name: str) -> bool:
    """Tell whether any project has a repository at a git host."""
    return bool(_projects_of(name))


def _projects_of(name: str) -> Mapping[str, Project]:
    rows = Project.objects.filter(forge=name).exclude(repository_id="").exclude(status=ProjectStatus.ARCHIVED)
    return {row.repository_id: row for row in rows.only("slug", "repository_id", "repository_url", "forge")}


def _know(forge: str, repository_id: str, project: Project) -> None:
    """See to it that there is a row of a project's repository, also of one that no listing has named yet."""
    row, _ = HostedRepository.objects.get_or_create(
        forge=forge,
        repository_id=repository_id,
        defaults={"project": project, "name": project.slug, "url": project.repository_url},
    )
    if row.project_id is None:
        HostedRepository.objects.filter(pk=row.pk).update(project=project)


def _take(forge: str, listed: ListedRepository, projects: Mapping[str, Project], run: Run) -> None:
    project = projects.get(listed.id)
    seen: dict[str, Any] = {"name": listed.name[:200], "url": listed.url[:500], "missed_listings": 0}
    seen |= {"last_seen_at": timezone.now()}
    row, is_new = HostedRepository.objects.get_or_create(
        forge=forge, repository_id=listed.id, defaults={**seen, "project": project}
    )
    run.count("added", int(is_new))
    if row.name != seen["name"]:
        run.count("renamed")
    if project is not None:
        seen["project"] = project
        _follow(project, listed.url)
    elif row.project_id is None:
        run.count("unknown")
    HostedRepository.objects.filter(pk=row.pk).update(**seen)
    _come_back(row, run)


def _follow(project: Project, url: str) -> None:
    """Keep the address under which people find a repository that was renamed."""
    if project.repository_url != url:
        Project.objects.filter(pk=project.pk, repository_id=project.repository_id).update(repository_url=url)


def _come_back(row: HostedRepository, run: Run) -> None:
    if HostedRepository.try_transition(row.pk, to=_R.LISTED, expect=_R.MISSING):
        run.count("returned")
    if row.missing_since is not None:
        # Told before it is forgotten: whoever dies between the two is followed by one who tells again.
        _tell(row, is_missing=False)
        HostedRepository.objects.filter(pk=row.pk).update(missing_since=None)


def _miss(row: HostedRepository, run: Run) -> None:
    run.count("missed")
    misses = min(row.missed_listings + 1, settings.PROJECTS_REPOSITORY_MISSES)
    HostedRepository.objects.filter(pk=row.pk).update(missed_listings=misses)
    if misses < settings.PROJECTS_REPOSITORY_MISSES:
        return
    if row.project is None:
        # It was only told of, and there is nothing more to tell.
        row.delete()
        return
    if row.project.status == ProjectStatus.ARCHIVED:
        if row.missing_since is not None:
            _tell(row, is_missing=False)
            HostedRepository.objects.filter(pk=row.pk).update(missing_since=None)
        return
    since = row.missing_since or timezone.now()
    HostedRepository.try_transition(row.pk, to=_R.MISSING, expect=_R.LISTED, missing_since=since)
    run.count("missing")
    # At every listing: whoever did not hear it the first time hears it again.
    _tell(row, is_missing=True)


def _tell(row: HostedRepository, *, is_missing: bool) -> None:
    if row.project_id is not None:
        signals.repository_seen.send_robust(
            None, project_id=row.project_id, name=row.name, forge=row.forge, is_missing=is_missing
        )
