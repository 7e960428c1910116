"""Django's configuration of this app."""

from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate


class InfraConfig(AppConfig):
    """Names the app."""

    name = "apps.infra"
    label = "infra"
    verbose_name = "Infra"

    def ready(self) -> None:
        """Give every database the row of this machine."""
        post_migrate.connect(give_every_database_its_server, sender=self, dispatch_uid="local_server")


def give_every_database_its_server(**_: Any) -> None:
    """Make the row of this machine, unless it is not deployed to."""
    from apps.infra import services

    if settings.INFRA_LOCAL_TARGET:
        services.ensure_local_server()
