"""Commands that are listed with Django's, and are programs of their own."""

import sys
from collections.abc import Callable
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override


class HandedOver(BaseCommand):
    """Hands its words over as they are."""

    hands_over_to: ClassVar[Callable[[list[str]], int]]
    requires_system_checks: ClassVar[list[str]] = []

    @override
    def run_from_argv(self, argv: list[str]) -> None:
        """Run the program and end with its exit code."""
        sys.exit(type(self).hands_over_to(argv[2:]))

    @override
    def print_help(self, prog_name: str, subcommand: str) -> None:
        """Print the program's own help."""
        type(self).hands_over_to(["--help"])

    @override
    def handle(self, *_: Any, **__: Any) -> None:
        """Run it without words, for those who call commands from code.

        Raises:
            CommandError: it did not end well.

        """
        if code := type(self).hands_over_to([]):
            raise CommandError("It did not end well.", returncode=code)
