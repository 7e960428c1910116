"""Django's configuration of this app."""

from django.apps import AppConfig
from django.core import checks

from apps import check_tags


class DocumentsConfig(AppConfig):
    """Names the app, checks its settings, and listens for projects that move."""

    name = "apps.documents"
    label = "documents"
    verbose_name = "Documents"

    def ready(self) -> None:
        """Register the check of the settings, and connect the receiver."""
        from apps.documents import composition, receivers

        checks.register(composition.check_settings, check_tags.SETTINGS)
        receivers.connect()
