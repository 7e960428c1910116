"""``manage.py ensure_admin``: the first operator, with a password that is shown once."""

import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    """Creates an operator if there is none; prints the password only then."""

    help = "Create the first operator and print the password, once."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the name."""
        parser.add_argument("--username", default="admin")

    def handle(self, *_: Any, **options: Any) -> None:
        """Create the operator unless some operator exists."""
        people = get_user_model().objects
        if people.filter(is_superuser=True).exists():
            return
        password = secrets.token_urlsafe(12)
        people.create_superuser(username=options["username"], password=password)
        self.stdout.write(f"user {options['username']}, password {password}")
