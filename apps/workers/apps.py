"""Django's configuration of this app."""

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    """Names the app."""

    name = "apps.workers"
    label = "workers"
    verbose_name = "Workers"
