"""Django's configuration of this app."""

from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    """Names the app, checks its settings, and tells the storage which bundles its rows need."""

    name = "apps.projects"
    label = "projects"
    verbose_name = "Projects"

    def ready(self) -> None:
        """Register the checks, and with the storage's garbage collection."""
        from apps import storage
        from apps.projects import checks, selectors

        checks.register_all()
        storage.register_references(self.label, selectors.bundle_names_in_use)
