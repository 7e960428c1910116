"""Django's configuration of this app."""

from django.apps import AppConfig


class InfraConfig(AppConfig):
    """Names the app."""

    name = "apps.infra"
    label = "infra"
    verbose_name = "Infra"
