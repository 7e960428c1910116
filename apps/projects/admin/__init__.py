"""Pages of this app in the admin; those of tasks are in ``apps.graph``, which can start and stop them."""

from apps.projects.admin import changes, dispatches, people, projects, repositories, secrets

__all__ = ["changes", "dispatches", "people", "projects", "repositories", "secrets"]
