"""``manage.py rotate_secrets``: encrypt every stored secret with the first of ENCRYPTION_KEYS."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from apps import rotation


class Command(BaseCommand):
    """Put the new key first in ENCRYPTION_KEYS, restart, run this, then drop the old key."""

    help = "Encrypt every stored secret with the first of ENCRYPTION_KEYS; may be interrupted and repeated."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        word = "would be rotated" if options["dry_run"] else "rotated"
        lost = 0
        for model, column in rotation.encrypted_columns():
            found = rotation.rotate_column(model, column, dry_run=options["dry_run"])
            lost += found.undecryptable
            self.stdout.write(
                f"{found.column}: {found.rotated} {word}, {found.current} current, "
                f"{found.undecryptable} undecryptable"
            )
        if lost:
            raise CommandError(
                f"{lost} values fit none of ENCRYPTION_KEYS; keep every old key that is known."
            )
