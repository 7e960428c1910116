"""``manage.py runbot``: be the bot, until SIGTERM or SIGINT."""

import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.bot import commands, composition, intake
from apps.bot.running import POLLING, WEBHOOK, BotProcess, LeaseLost
from apps.check_tags import SETTINGS


class Command(BaseCommand):
    """Takes updates from Telegram, or has them sent to the web process, and hints at what is due."""

    # The rest of the checks import the web and the admin, which the bot has not.
    requires_system_checks = (SETTINGS,)
    help = "Be the bot: take what people write to it. Needs TELEGRAM_BOT_TOKEN."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the switch for those who start it always."""
        parser.add_argument(
            "--if-configured", action="store_true", help="End well at once where no token is set."
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Run until stopped.

        Raises:
            CommandError: a setting is missing or wrong, or the lease was lost.

        """
        if not composition.has_bot():
            if options["if_configured"]:
                self.stdout.write("TELEGRAM_BOT_TOKEN is not set: there is no bot.")
                return
            raise CommandError("TELEGRAM_BOT_TOKEN is not set. Get one from @BotFather and put it into .env.")
        if settings.TELEGRAM_MODE not in (POLLING, WEBHOOK):
            raise CommandError("TELEGRAM_MODE must be polling or webhook.")
        if settings.TELEGRAM_MODE == WEBHOOK and not settings.TELEGRAM_WEBHOOK_URL.startswith("https://"):
            raise CommandError("TELEGRAM_MODE=webhook needs TELEGRAM_WEBHOOK_URL, such as https://HOST.")
        process = BotProcess(handle=intake.take, menu=commands.menu)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: process.stop())
        try:
            process.run()
        except LeaseLost as error:
            raise CommandError("The lease was lost with its database session.") from error
