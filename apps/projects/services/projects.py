"""Writes projects: drafts, their words, the request for a repository, the archive."""

from collections.abc import Sequence
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.enqueue import enqueue
from apps.errors import Conflict, Invalid
from apps.projects import composition, naming, tasks, validation
from apps.projects.models import ForgeName, Project, ProjectStatus, Task, User
from apps.projects.selectors import ProjectNotFound, forge_of
from apps.projects.signals import announce, project_changed


class ProjectBusy(Conflict):
    """The project has unfinished tasks."""

    code = "project_busy"


class ProjectArchived(Conflict):
    """The project is archived."""

    code = "project_archived"


def create_project(*, owner_id: int, name: str, description: str, modules: Sequence[str]) -> UUID:
    """Write a draft of a project; nothing outside the database happens until a scaffold is requested.

    Raises:
        Invalid: ``details`` maps each refused field to its problem.

    """
    words = validation.project_words(name=name, description=description, modules=modules)
    if not User.objects.filter(pk=owner_id, is_active=True).exists():
        raise Invalid(details={"owner": "is not a person here"})
    project_id = uuid4()
    for slug in naming.slug_candidates(words.name, project_id=project_id):
        try:
            with transaction.atomic():
                Project.objects.create(
                    id=project_id,
                    owner_id=owner_id,
                    forge=composition.default_forge(),
                    name=words.name,
                    slug=slug,
                    description=words.description,
                    modules=list(words.modules),
                )
        except IntegrityError:
            if not Project.objects.filter(slug=slug).exists():
                raise
            continue
        announce(project_changed, project_id=project_id)
        return project_id
    raise Conflict("No free slug was found for this name", details={"name": "choose another one"})


@transaction.atomic
def update_project(*, project_id: UUID, name: str | None = None, description: str | None = None) -> None:
    """Change a project's words; its slug and everything named after it stay.

    Raises:
        Invalid: ``details`` maps each refused field to its problem.
        NotFound: there is no such project.
        ProjectArchived: it is no longer worked on.

    """
    project = lock_project(project_id)
    problems: dict[str, str | None] = {}
    if name is not None:
        project.name = validation.clean_name(name)
        problems["name"] = validation.name_problem(project.name)
    if description is not None:
        project.description = validation.clean_text(description)
        problems["description"] = validation.text_problem(
            project.description, limit=validation.DESCRIPTION_CHARACTERS
        )
    validation.refuse(problems)
    project.save(update_fields=["name", "description", "updated_at"])
    announce(project_changed, project_id=project_id)


@transaction.atomic
def archive_project(*, project_id: UUID) -> None:
    """Put a project away; archiving an archived one is success.

    Raises:
        IllegalTransition: it is being scaffolded.
        NotFound: there is no such project.
        ProjectBusy: one of its tasks is unfinished.

    """
    try:
        lock_project(project_id)
    except ProjectArchived:
        return
    if Task.objects.filter(project_id=project_id).exclude(status__in=Task.final_statuses()).exists():
        raise ProjectBusy(details={"project": str(project_id)})
    Project.transition(project_id, to=ProjectStatus.ARCHIVED)
    announce(project_changed, project_id=project_id)


@transaction.atomic
def request_scaffold(*, project_id: UUID) -> None:
    """Ask for the repository of a draft, or of one whose scaffold failed; asking twice is asking once.

    Raises:
        NotFound: there is no such project.
        ProjectArchived: it is no longer worked on.

    """
    forge = forge_of(project_id=project_id) or ForgeName.LOCAL
    deadline_at = timezone.now() + composition.get_limits(forge).scaffold_deadline
    requested = Project.try_transition(
        project_id,
        to=ProjectStatus.SCAFFOLDING,
        failure=None,
        scaffold_attempts=0,
        heartbeat_at=None,
        deadline_at=deadline_at,
    )
    if requested:
        enqueue(tasks.reconcile_project, project_id=str(project_id))
        announce(project_changed, project_id=project_id)
    elif Project.objects.filter(pk=project_id, status=ProjectStatus.ARCHIVED).exists():
        raise ProjectArchived(details={"project": str(project_id)})


def lock_project(project_id: UUID) -> Project:
    """Lock a project's row until the caller's transaction ends; rows that refer to it may still be written.

    Raises:
        NotFound: there is no such project.
        ProjectArchived: it is no longer worked on.

    """
    project = Project.objects.select_for_update(no_key=True).filter(pk=project_id).first()
    if project is None:
        raise ProjectNotFound(details={"project": str(project_id)})
    if project.status == ProjectStatus.ARCHIVED:
        raise ProjectArchived(details={"project": str(project_id)})
    return project
