"""What a project that was put away gives back, once nothing of it runs any more."""

from uuid import UUID

from apps.infra import entrances
from apps.projects.models import Project, ProjectStatus


def find_with_ports() -> list[UUID]:
    """Return archived projects that still keep ports of which they have no more use."""
    archived = Project.objects.filter(status=ProjectStatus.ARCHIVED, pk__in=list(entrances.list_projects()))
    return list(archived.values_list("pk", flat=True))


def give_ports_back(project_id: UUID) -> None:
    """Let others have the ports of an archived project; it keeps them while anything of it may run."""
    entrances.close(project_id=project_id)
