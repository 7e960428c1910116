"""Bundles of the agent's work, made beside its repository: its index, branches and configuration stay alone.

A shadow repository borrows the checkout's objects and keeps its own index and refs. Nothing the agent
configured (filters, hooks, monitors) runs here.
"""

import asyncio
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from worker_image import contract
from worker_image.contract import DIRTY_REF, SAVED_NOTE, SnapshotReason
from worker_image.files import write_json
from worker_image.gitcli import Git, GitFailed
from worker_image.transfer import ApiClient, TransferRefused, TransferUnavailable
from worker_image.workspace import Workspace

PERIOD_SECONDS = 15.0
"""From one look to the next. With the time an upload may take it is the most that a death costs: 30 s."""
MAX_DIRTY_BYTES = 50 * 1024 * 1024
"""Bytes of changed and new files that a snapshot of the uncommitted tree may take."""
MAX_DIRTY_FILES = 20_000
DEADLINES = {SnapshotReason.RESULT: 300.0, SnapshotReason.PERIODIC: 15.0, SnapshotReason.STOP: 6.0}
"""Seconds an upload may take."""

logger = structlog.get_logger(__name__)


class SnapshotRefused(Exception):
    """The work could not be handed over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnRefs:
    """What the bundles of one turn are about."""

    request_id: str
    branch: str | None
    base_sha: str


class Snapshots:
    """Makes and uploads the bundles of one workspace."""

    def __init__(self, workspace: Workspace, state_dir: Path, api: ApiClient) -> None:
        self.files_changed_at: datetime | None = None
        """When the checkout was first seen different from before (UTC)."""
        self._workspace = workspace
        self._shadow = state_dir / "shadow.git"
        self._bundle_path = state_dir / "snapshot.bundle"
        self._api = api
        self._making = asyncio.Lock()
        self._uploaded: tuple[str | None, str | None] | None = None
        self._left_out = False

    async def upload_result(self, refs: TurnRefs) -> None:
        """Upload the commits of the expected branch; none means there is nothing to upload.

        Raises:
            SnapshotRefused: the bundle could not be made, was refused, or found nobody before the deadline.

        """
        try:
            async with self._making:
                head = await self._head(refs)
                if head is None or head == refs.base_sha:
                    return
                await self._open_shadow()
                bundle = await self._bundle(refs, {f"refs/heads/{refs.branch}": head})
                await self._upload(bundle, refs, head, SnapshotReason.RESULT)
                self._uploaded = (head, None)
        except (OSError, GitFailed, TransferRefused, TransferUnavailable) as error:
            raise SnapshotRefused(str(error)) from error

    async def upload_changes(self, refs: TurnRefs, reason: SnapshotReason) -> bool:
        """Upload commits and uncommitted work if anything changed since the last time; tell whether it did.

        A failure is logged and tried again next time: this is a safety net, not the result.
        """
        looked_at = datetime.now(UTC)
        try:
            async with self._making:
                did_change = await self._upload_changes(refs, reason)
                self._note(looked_at, is_final=reason is SnapshotReason.STOP)
                return did_change
        except (OSError, GitFailed, TransferRefused, TransferUnavailable) as error:
            logger.warning("snapshot_failed", reason=reason, error=str(error))
            return False

    def _note(self, looked_at: datetime, *, is_final: bool) -> None:
        """Say, where it can be read after our death, that everything until a moment is stored."""
        if not self._left_out:
            words = {"saved_at": looked_at.isoformat(), "is_saved": True, "is_final": is_final}
            write_json(self._workspace.directory / SAVED_NOTE, words)

    async def run_periodically(self, refs: TurnRefs, *, period_seconds: float = PERIOD_SECONDS) -> None:
        """Look for changes once per period and upload them, until cancelled; a slow upload delays no look."""
        pause = period_seconds
        while True:
            await asyncio.sleep(pause)
            began = time.monotonic()
            await self.upload_changes(refs, SnapshotReason.PERIODIC)
            pause = max(0.0, period_seconds - (time.monotonic() - began))

    async def _upload_changes(self, refs: TurnRefs, reason: SnapshotReason) -> bool:
        await self._open_shadow()
        head = await self._head(refs)
        dirty = await self._commit_of_tree(refs)
        state = (head, dirty)
        if state == (self._uploaded or (refs.base_sha, None)):
            return False
        self.files_changed_at = datetime.now(UTC)
        wanted = {DIRTY_REF: dirty, f"refs/heads/{refs.branch}": head if refs.branch else None}
        known = {ref: sha for ref, sha in wanted.items() if sha is not None and sha != refs.base_sha}
        if known:
            bundle = await self._bundle(refs, known)
            await self._upload(bundle, refs, head or refs.base_sha, reason)
        self._uploaded = state
        return bool(known)

    async def _head(self, refs: TurnRefs) -> str | None:
        seen = await self._workspace.observe(branch=refs.branch, base_sha=refs.base_sha)
        return seen.head_sha

    async def _open_shadow(self) -> None:
        objects = self._workspace.directory / ".git" / "objects"
        alternates = self._shadow / "objects" / "info" / "alternates"
        if not alternates.is_file():
            shutil.rmtree(self._shadow, ignore_errors=True)
            self._shadow.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            await Git(self._shadow.parent).run("init", "--quiet", "--bare", "--template=", str(self._shadow))
            alternates.parent.mkdir(exist_ok=True)
            alternates.write_text(f"{objects}\n")

    async def _commit_of_tree(self, refs: TurnRefs) -> str | None:
        """Return a commit of the uncommitted tree; None if there is nothing uncommitted, or too much."""
        repository = self._workspace.directory / ".git"
        head = await Git(self._workspace.directory).find("rev-parse", "--verify", "--quiet", "HEAD")
        head = head or refs.base_sha
        git = Git(
            self._workspace.directory,
            {
                "GIT_DIR": str(self._shadow),
                "GIT_WORK_TREE": str(self._workspace.directory),
                "GIT_INDEX_FILE": str(self._shadow / "index"),
                "GIT_AUTHOR_DATE": "1700000000 +0000",
                "GIT_COMMITTER_DATE": "1700000000 +0000",
            },
        )
        shutil.copyfile(repository / "index", self._shadow / "index")
        exclude = f"core.excludesFile={repository / 'info' / 'exclude'}"
        listing = await git.run("-c", exclude, "ls-files", "-z", "-m", "-o", "--exclude-standard")
        self._left_out = not self._fits(listing)
        if self._left_out:
            return None
        # What cannot be added (unreadable, an empty nested repository) must not cost the rest.
        await git.find("-c", exclude, "add", "--all", "--ignore-errors")
        tree = await git.run("write-tree")
        if tree == await git.run("rev-parse", f"{head}^{{tree}}"):
            return None
        return await git.run("commit-tree", tree, "-p", head, "-m", "Uncommitted work")

    def _fits(self, listing: str) -> bool:
        names = [name for name in listing.split("\0") if name]
        size = sum(_size(self._workspace.directory / name) for name in names)
        if len(names) <= MAX_DIRTY_FILES and size <= MAX_DIRTY_BYTES:
            return True
        logger.warning("snapshot_left_out_uncommitted", files=len(names), bytes=size)
        return False

    async def _bundle(self, refs: TurnRefs, tips: dict[str, str]) -> bytes:
        git = Git(self._shadow, {"GIT_DIR": str(self._shadow)})
        for ref, sha in tips.items():
            await git.run("update-ref", ref, sha)
        await git.run("bundle", "create", "--quiet", str(self._bundle_path), *tips, f"^{refs.base_sha}")
        try:
            return await asyncio.to_thread(_read_bounded, self._bundle_path)
        finally:
            self._bundle_path.unlink(missing_ok=True)

    async def _upload(self, bundle: bytes, refs: TurnRefs, head: str, reason: SnapshotReason) -> None:
        headers = {
            contract.HEADER_REQUEST_ID: refs.request_id,
            contract.HEADER_HEAD_SHA: head,
            contract.HEADER_BASE_SHA: refs.base_sha,
            contract.HEADER_BRANCH: refs.branch or "",
            contract.HEADER_REASON: reason.value,
        }
        await self._api.upload_snapshot(bundle, headers, deadline_seconds=DEADLINES[reason])
        logger.info("snapshot_uploaded", reason=reason, head_sha=head, bytes=len(bundle))


def _read_bounded(path: Path) -> bytes:
    if path.stat().st_size > contract.MAX_BUNDLE_BYTES:
        raise TransferRefused(f"the bundle is larger than {contract.MAX_BUNDLE_BYTES} bytes")
    return path.read_bytes()


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
