"""Django's configuration of this app."""

from django.apps import AppConfig


class GraphConfig(AppConfig):
    """Names the app."""

    name = "apps.graph"
    label = "graph"
    verbose_name = "Graph"

    def ready(self) -> None:
        """Listen to the facts that the lower apps announce."""
        from apps.graph import receivers

        receivers.connect()
