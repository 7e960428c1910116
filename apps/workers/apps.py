"""Django's configuration of this app."""

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    """Names the app and tells the storage which bundles its rows need."""

    name = "apps.workers"
    label = "workers"
    verbose_name = "Workers"

    def ready(self) -> None:
        """Register with the storage's garbage collection."""
        from apps import storage
        from apps.workers import selectors

        storage.register_references(self.label, selectors.bundle_names_in_use)
