"""How lists of projects and tasks may be narrowed."""

from typing import Any

import django_filters
from django.db.models import QuerySet

from apps.projects.models import Project, Task
from apps.projects.serializers import WIRE_STATUS, WIRE_STATUSES


class ProjectFilter(django_filters.FilterSet):
    """By status, slug, or a part of the name."""

    name = django_filters.CharFilter(lookup_expr="icontains")

    class Meta:
        model = Project
        fields = ("status", "slug", "name")


class TaskFilter(django_filters.FilterSet):
    """By project, type, and status in the words of the API."""

    project_id = django_filters.UUIDFilter(field_name="project_id")
    status = django_filters.ChoiceFilter(
        choices=[(word, word) for word in WIRE_STATUSES], method="filter_status"
    )

    class Meta:
        model = Task
        fields = ("project_id", "type", "status")

    def filter_status(self, rows: QuerySet[Task], _name: str, word: Any) -> QuerySet[Task]:
        """Translate a word of the API into the statuses it stands for."""
        return rows.filter(status__in=[status for status, shown in WIRE_STATUS.items() if shown == word])
