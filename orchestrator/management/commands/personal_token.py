"""``manage.py personal_token``: a token for a person of this installation, such as the demo's."""

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandParser

from apps.projects import services


class Command(BaseCommand):
    """Creates the person if missing and prints a new token; it is stored hashed."""

    help = "Print a new personal token, creating the person if missing."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the name and how long the token is good."""
        parser.add_argument("username")
        parser.add_argument("--hours", type=int, default=24)

    def handle(self, *_: Any, **options: Any) -> None:
        """Print the token and nothing else."""
        people = get_user_model().objects
        person = people.filter(username=options["username"]).first()
        if person is None:
            # Without a usable password: the token is this person's only way in.
            person = people.create_user(username=options["username"])
        _token, words = services.issue_token(
            person_id=person.pk, name="personal_token", ttl=timedelta(hours=options["hours"])
        )
        self.stdout.write(words)
