"""Pages of this app in the admin; those of tasks are in ``apps.graph``, which can start and stop them."""

from apps.projects.admin import changes, people, projects, secrets

__all__ = ["changes", "people", "projects", "secrets"]
