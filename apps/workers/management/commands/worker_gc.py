"""``manage.py worker_gc``: remove images that no worker has used for a while."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from apps.errors import OrchestratorError
from apps.workers import engine, image_gc
from apps.workers.limits import IMAGE_MAX_AGE_DAYS


class Command(BaseCommand):
    """Does by hand what beat does daily."""

    help = "Remove worker images by last use; never one that an active worker needs, nor a stranger's."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=float, default=IMAGE_MAX_AGE_DAYS, help="since the last use")
        parser.add_argument("--dry-run", action="store_true", help="only tell what would go")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        if options["days"] < 0:
            raise CommandError("--days must not be negative")
        max_age = timedelta(days=options["days"])
        try:
            found = image_gc.collect(engine.get_image_builder(), max_age=max_age, dry_run=options["dry_run"])
        except OrchestratorError as error:
            raise CommandError(error.message) from error
        word = "would remove" if options["dry_run"] else "removed"
        for tag in found.removed:
            self.stdout.write(f"{word} {tag}")
        megabytes = found.freed_bytes / 1_000_000
        self.stdout.write(f"{word} {len(found.removed)} (up to {megabytes:.0f} MB), kept {len(found.kept)}")
