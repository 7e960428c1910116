"""Django's configuration of this app."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class InfraConfig(AppConfig):
    """Names the app."""

    name = "apps.infra"
    label = "infra"
    verbose_name = "Infra"

    def ready(self) -> None:
        """Give every database the row of this machine."""
        post_migrate.connect(_ensure_local_server, sender=self, dispatch_uid="local_server")


def _ensure_local_server(**_: Any) -> None:
    from apps.infra import services

    services.ensure_local_server()
