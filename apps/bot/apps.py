"""Django's configuration of this app."""

from importlib import import_module

from django.apps import AppConfig


class BotConfig(AppConfig):
    """Names the app."""

    name = "apps.bot"
    label = "bot"
    verbose_name = "Bot"

    def ready(self) -> None:
        """Listen to the facts that the apps below announce; let Celery know of the tasks beside ``tasks``."""
        import_module("apps.bot.intake")
        from apps.bot import receivers

        receivers.connect()
