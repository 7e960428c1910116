"""The agent's checkout: a clone of the base bundle with the task's branch, and what became of it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import structlog

from worker_image import gitcli
from worker_image.gitcli import Git, GitFailed
from worker_image.instructions import Instructions
from worker_image.transfer import ApiClient, BaseBundle, TransferRefused, TransferUnavailable

BASE_REF = "refs/worker/base"
"""The base commit; written last, so a checkout that has it is whole."""
DOWNLOAD_DEADLINE_SECONDS = 180.0

logger = structlog.get_logger(__name__)


class WorkspaceUnavailable(Exception):
    """The agent cannot be given its checkout."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """What the checkout looks like, observed."""

    branch: str | None
    """Branch that is checked out; None if none is."""
    head_sha: str | None
    """Head of the expected branch, if that branch exists."""
    base_sha: str

    @property
    def commit_sha(self) -> str | None:
        """The expected branch's head if there is anything new on it."""
        return self.head_sha if self.head_sha != self.base_sha else None


class Workspace:
    """One checkout in one directory. Every method may be repeated after a crash."""

    def __init__(
        self, directory: Path, state_dir: Path, api: ApiClient, instructions: Instructions | None = None
    ) -> None:
        self.directory = directory
        self.instructions = instructions
        self._bundle_path = state_dir / "base.bundle"
        self._api = api
        self._git = Git(directory)

    async def prepare(self, *, branch: str | None, base_sha: str | None) -> str:
        """Bring the checkout onto the branch of a turn and return the base commit.

        The first turn downloads and clones; later ones keep what the agent left.

        Raises:
            WorkspaceUnavailable: no bundle could be had, it is broken, or the base commit is not in it.

        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            base = await self._find_base(base_sha)
            if base is None:
                base = await self._fetch(base_sha)
            await self._enter_branch(branch, base)
            if self.instructions is not None:
                await self.instructions.place()
            await self._git.run("update-ref", BASE_REF, base)
        except (OSError, GitFailed, TransferRefused, TransferUnavailable) as error:
            raise WorkspaceUnavailable(str(error)) from error
        finally:
            self._bundle_path.unlink(missing_ok=True)
        return base

    async def observe(self, *, branch: str | None, base_sha: str) -> Observation:
        """Return what is checked out and where the expected branch is now."""
        ref = f"refs/heads/{branch}" if branch else "HEAD"
        return Observation(
            branch=await self._git.find("symbolic-ref", "--quiet", "--short", "HEAD"),
            head_sha=await self._git.find("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"),
            base_sha=base_sha,
        )

    async def _find_base(self, wanted: str | None) -> str | None:
        if not (self.directory / ".git").is_dir():
            return None
        known = await self._git.find("rev-parse", "--verify", "--quiet", f"{BASE_REF}^{{commit}}")
        if known is None or wanted in {None, known}:
            return known
        return await self._git.find("rev-parse", "--verify", "--quiet", f"{wanted}^{{commit}}")

    async def _fetch(self, wanted: str | None) -> str:
        self._bundle_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        bundle = await self._api.download_workspace(
            self._bundle_path, deadline_seconds=DOWNLOAD_DEADLINE_SECONDS
        )
        if bundle is None:
            raise WorkspaceUnavailable("the control plane has no workspace for this worker")
        if await self._find_base(None) is None:
            await self._initialize(bundle)
        await self._git.run(
            "fetch", "--quiet", "--no-tags", str(bundle.path), "+refs/heads/*:refs/remotes/base/*"
        )
        base = wanted or bundle.base_sha
        if not await self._has(base):
            raise WorkspaceUnavailable(f"the base commit {base} is not in the workspace bundle")
        return base

    async def _has(self, sha: str) -> bool:
        return await self._git.find("rev-parse", "--verify", "--quiet", f"{sha}^{{commit}}") is not None

    async def _initialize(self, bundle: BaseBundle) -> None:
        """Make an empty repository; files that were here before are kept out of the agent's commits."""
        shutil.rmtree(self.directory / ".git", ignore_errors=True)
        present = sorted(path.name for path in self.directory.iterdir())
        await self._git.run("init", "--quiet", "--template=", f"--initial-branch={bundle.base_branch}")
        exclude = self.directory / ".git" / "info" / "exclude"
        exclude.parent.mkdir(exist_ok=True)
        exclude.write_text("".join(f"/{name}\n" for name in present))
        for name, value in gitcli.SETTINGS.items():
            if name in {"user.name", "user.email", "core.hooksPath", "commit.gpgSign"}:
                await self._git.run("config", name, value)

    async def _enter_branch(self, branch: str | None, base: str) -> None:
        if branch is None:
            if await self._is_unborn():
                await self._check_out("--detach", base)
            return
        current = await self._git.find("symbolic-ref", "--quiet", "--short", "HEAD")
        if await self._git.find("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}") is None:
            await self._check_out("-B", branch, base)
        elif current != branch:
            await self._check_out(branch)

    async def _is_unborn(self) -> bool:
        return await self._git.find("rev-parse", "--verify", "--quiet", "HEAD") is None

    async def _check_out(self, *arguments: str) -> None:
        """Check out; what stands in the way gives way, because a snapshot of it was uploaded."""
        if self.instructions is not None:
            await self.instructions.lift()
        try:
            await self._git.run("checkout", "--quiet", *arguments, "--")
        except GitFailed as error:
            logger.warning("checkout_forced", error=str(error))
            await self._git.run("checkout", "--quiet", "--force", *arguments, "--")
