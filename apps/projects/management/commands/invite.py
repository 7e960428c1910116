"""``manage.py invite``: a code by which one person comes in, the first owner included."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.database import require_database
from apps.errors import OrchestratorError
from apps.projects import services
from apps.projects.models import User
from apps.roles import Role


class Command(BaseCommand):
    """Prints the code once; only its digest is kept."""

    help = "Print a single-use invitation code; send it to the bot as /start CODE."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take who is invited as what, and how long the code is good."""
        parser.add_argument("--role", choices=Role.values, default=Role.MEMBER.value)
        parser.add_argument("--hours", type=int, default=24 * 7)
        parser.add_argument("--username", help="an account that exists; the code connects it to a chat")

    def handle(self, *_: Any, **options: Any) -> None:
        """Print the code and nothing else.

        Raises:
            CommandError: the database does not answer, there is no such account, or the hours are out of bounds.

        """
        require_database()
        name = options["username"]
        person = User.objects.filter(username=name, is_active=True).first() if name else None
        if name and person is None:
            raise CommandError(f"There is no {name} here.")
        try:
            _invitation, code = services.invite(
                created_by_id=None,
                role=options["role"],
                ttl=timedelta(hours=options["hours"]),
                person_id=person.pk if person else None,
            )
        except OrchestratorError as error:
            raise CommandError(f"{error.message} {error.details}") from error
        self.stdout.write(code)
