"""Django's configuration of this app."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class GraphConfig(AppConfig):
    """Names the app."""

    name = "apps.graph"
    label = "graph"
    verbose_name = "Graph"

    def ready(self) -> None:
        """Listen to the facts that the lower apps announce; keep the flow engine's tables up to date."""
        from apps.graph import checkpoints, lost_repositories, receivers

        def set_up(**_: Any) -> None:
            checkpoints.setup()

        receivers.connect()
        lost_repositories.connect()
        post_migrate.connect(set_up, sender=self, weak=False, dispatch_uid="graph.checkpoints")
