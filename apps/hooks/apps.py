"""Django's configuration of this app."""

from django.apps import AppConfig


class HooksConfig(AppConfig):
    """Names the app."""

    name = "apps.hooks"
    label = "hooks"
    verbose_name = "Webhooks"
