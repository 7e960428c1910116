"""Commands that are listed with Django's, and are programs of their own."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override


class HandedOver(BaseCommand):
    """Hands its words over as they are."""

    requires_system_checks = ()

    def program(self, words: list[str]) -> int:
        """Run the program; returns its exit code.

        Args:
            words: of the command line.

        """
        raise CommandError(f"{type(self).__name__} has no program for {words}.")

    @override
    def run_from_argv(self, argv: list[str]) -> None:
        """Run the program and end with its exit code."""
        sys.exit(self.program(argv[2:]))

    @override
    def print_help(self, prog_name: str, subcommand: str) -> None:
        """Print the program's own help."""
        self.program(["--help"])

    @override
    def handle(self, *_: Any, **__: Any) -> None:
        """Run it without words, for those who call commands from code.

        Raises:
            CommandError: it did not end well.

        """
        if code := self.program([]):
            raise CommandError("It did not end well.", returncode=code)
