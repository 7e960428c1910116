"""Django's configuration of this app."""

from typing import Any

from django.apps import AppConfig
from django.contrib.auth import get_user_model
from django.db.models import Model
from django.db.models.signals import post_delete


class WorkersConfig(AppConfig):
    """Names the app, tells the storage which bundles its rows need, and hears of people who are deleted."""

    name = "apps.workers"
    label = "workers"
    verbose_name = "Workers"

    def ready(self) -> None:
        """Register with the storage's garbage collection, and with the deletion of people."""
        from apps import storage
        from apps.workers import selectors

        storage.register_references(self.label, selectors.bundle_names_in_use)
        post_delete.connect(_forget_person, sender=get_user_model(), dispatch_uid="workers.forget_person")


def _forget_person(instance: Model, **_: Any) -> None:
    """Write, in the transaction of the deletion, what has to follow it."""
    from apps.workers import services

    services.forget_person(owner_id=instance.pk)
