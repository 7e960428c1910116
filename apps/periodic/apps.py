"""Django's configuration of this app."""

from django.apps import AppConfig


class PeriodicConfig(AppConfig):
    """Names the app."""

    name = "apps.periodic"
    label = "periodic"
    verbose_name = "Periodic work"
