"""Django's configuration of this app."""

from django.apps import AppConfig


class BotConfig(AppConfig):
    """Names the app."""

    name = "apps.bot"
    label = "bot"
    verbose_name = "Bot"

    def ready(self) -> None:
        """Listen to the facts that the apps below announce."""
        from apps.bot import receivers

        receivers.connect()
