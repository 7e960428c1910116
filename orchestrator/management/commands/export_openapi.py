"""``manage.py export_openapi``: the API's description as a file, and the check that it is current."""

import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    """Writes docs/openapi.yaml; with --check only compares."""

    help = "Write docs/openapi.yaml, or check that it is current. Warnings are errors."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the mode."""
        parser.add_argument("--check", action="store_true", help="Fail if the file is not current.")

    def handle(self, *_: Any, **options: Any) -> None:
        """Generate, validate, then write or compare.

        Raises:
            CommandError: the generator warned, or the file is not current.
        """
        path = Path(settings.BASE_DIR) / "docs" / "openapi.yaml"
        with tempfile.TemporaryDirectory() as directory:
            fresh = Path(directory) / "openapi.yaml"
            call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(fresh))
            text = fresh.read_text(encoding="utf-8")
        if not options["check"]:
            path.write_text(text, encoding="utf-8")
            self.stdout.write(f"wrote docs/{path.name}")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            raise CommandError("docs/openapi.yaml is not current: run `manage.py export_openapi`.")
