"""What the reconcilers of this app work with: handed to them, never looked up."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from django.utils import timezone

from apps import storage
from apps.errors import OrchestratorError
from apps.projects import templating
from apps.projects.bundles import BundleLimits
from apps.projects.forge.base import Forge
from apps.projects.forge.hosting import Hosting


@dataclass(frozen=True, kw_only=True, slots=True)
class Tools:
    """The git host, a place for temporary directories, and the functions that touch the disk."""

    forge: Forge
    scratch: Path  # made when it is first needed
    hosting: Hosting | None = None  # of a git host that has pull requests and workflows of its own
    bundle_limits: BundleLimits = field(default_factory=BundleLimits)
    render: Callable[..., templating.RenderResult] = templating.render
    save_bundle: Callable[..., storage.StoredBundle] = storage.save_bundle
    now: Callable[[], datetime] = timezone.now
    first_pause: timedelta = timedelta(seconds=15)  # between two looks at what goes on at the git host
    telegram_url: str = "https://api.telegram.org"  # asked whose a bot's token is
    merge_patience: timedelta = timedelta(minutes=15)  # of a merge on a git host that has to be waited for

    @contextlib.contextmanager
    def temporary_directory(self, purpose: str) -> Iterator[Path]:
        """Offer an empty directory that is gone afterwards, whatever happens inside.

        Raises:
            DiskFull, StorageUnavailable: it cannot be made.

        """
        with storage.file_errors():
            self.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
            place = tempfile.TemporaryDirectory(prefix=f"{purpose}-", dir=self.scratch)
        with place as path:
            yield Path(path)


@contextlib.contextmanager
def step(name: str) -> Iterator[None]:
    """Name the step in every error that leaves it, the file system's refusals among them."""
    try:
        with storage.file_errors():
            yield
    except OrchestratorError as error:
        error.details.setdefault("step", name)
        raise
