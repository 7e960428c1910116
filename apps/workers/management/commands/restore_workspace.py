"""``manage.py restore_workspace WORKER``: make a checkout again out of what was stored of a worker's work."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from apps.errors import OrchestratorError
from apps.workers import restore, selectors


class Command(BaseCommand):
    """Writes a worker's latest stored snapshot, uncommitted work included, into a directory."""

    help = "Make a checkout of a worker's latest stored snapshot."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the worker's id, and where to."""
        parser.add_argument("worker", type=UUID, help="Id of the worker.")
        parser.add_argument("--to", type=Path, help="An empty or absent directory; default: worker-ID here.")
        parser.add_argument("--snapshot", type=UUID, help="Id of a snapshot; default: the latest one.")

    @override
    def handle(self, *_: Any, **options: Any) -> None:
        """Restore, and say what was restored.

        Raises:
            CommandError: there is nothing to restore, or it cannot be.

        """
        directory = options["to"] or Path.cwd() / f"worker-{options['worker']}"
        try:
            worker = selectors.get_worker(options["worker"])
            made = restore.restore(worker, directory, snapshot_id=options["snapshot"])
        except OrchestratorError as error:
            raise CommandError(f"{error.error_code}: {error.message}") from error
        stored_at = f"{made.snapshot.created_at:%Y-%m-%d %H:%M:%S} UTC"
        self.stdout.write(f"Restored {made.branch} at {made.head_sha[:12]} into {made.directory}")
        self.stdout.write(f"The snapshot ({made.snapshot.reason}) is of {stored_at}.")
        if made.has_uncommitted:
            self.stdout.write("Work that was not committed lies there uncommitted: git status.")
        if worker.work_lost_since is not None:
            self.stdout.write(f"Edits after {worker.work_lost_since:%Y-%m-%d %H:%M:%S} UTC were not saved.")
