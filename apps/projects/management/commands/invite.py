"""``manage.py invite``: a link by which one person comes in; the first one becomes the owner."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.database import require_database
from apps.errors import OrchestratorError
from apps.projects import services
from apps.projects.models import User
from apps.roles import Role


class Command(BaseCommand):
    """Prints the link, or the code alone while no bot has run, once; only a digest is kept."""

    help = "Print a single-use invitation: a link, or a code to be sent to the bot as /start CODE."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take who is invited as what, and how long the code is good."""
        parser.add_argument(
            "--role",
            choices=Role.values,
            help="what they become; without it the first one becomes owner, every later one member",
        )
        parser.add_argument("--hours", type=int, default=24 * 7)
        parser.add_argument("--username", help="an account that exists; the code connects it to a chat")

    def handle(self, *_: Any, **options: Any) -> None:
        """Print the link, and to the error stream what it is good for.

        Raises:
            CommandError: the database does not answer, there is no such account, or such hours.

        """
        require_database()
        name = options["username"]
        person = User.objects.filter(username=name, is_active=True).first() if name else None
        if name and person is None:
            raise CommandError(f"There is no {name} here.")
        usual = Role(person.role) if person else services.role_of_next()
        role = Role(options["role"] or usual)
        try:
            _invitation, code = services.invite(
                created_by_id=None,
                role=role,
                ttl=timedelta(hours=options["hours"]),
                person_id=person.pk if person else None,
            )
        except OrchestratorError as error:
            raise CommandError(f"{error.message} {error.details}") from error
        self.stderr.write(f"It lets one person in, as {role.value}, for {options['hours']} hours.")
        self.stdout.write(services.link_of(code) or code)
