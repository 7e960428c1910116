"""The instruction file: what an agent reads before anything else, at the path where it looks for it.

The control plane composes the words and hands them over as an input; the wrapper puts them into the working
directory under the agent's own name. A repository may have a file of that name itself. Then our words stand
before the project's, and git is told to leave the file alone (`skip-worktree`): neither `git status` nor
`git add --all` nor a snapshot sees it, so the project keeps its own file and never gets ours. What an agent
writes below our words is the project's, and the agent cannot commit it: `collect` does when its turn is over.
Rejected: a filter of git (it runs what the checkout configures) and refusing such projects (most have an
AGENTS.md).
"""

import hashlib
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from worker_image.contract import (
    ENV_INPUT_DIR,
    ENV_INSTRUCTIONS_SHA256,
    INSTRUCTIONS_INPUT,
    INSTRUCTIONS_MARK,
    instruction_file,
)
from worker_image.gitcli import Git

PROJECT_WORDS = "<!-- What follows is the project's own file. -->"
MAX_OWN_BYTES = 1024 * 1024
"""What is longer is no file of instructions, and is not collected."""
_PLAIN_FILES = frozenset({"100644", "100755"})


class InstructionsMissing(Exception):
    """The words that were announced did not arrive, or cannot be put in place."""


class Instructions:
    """One worker's instruction file in one directory. Every method may be repeated."""

    def __init__(self, text: str, directory: Path, agent_type: str) -> None:
        self.name = instruction_file(agent_type)
        self._text = f"{INSTRUCTIONS_MARK}\n{text.rstrip()}\n"
        self._directory = directory
        self._path = directory / self.name
        self._git = Git(directory)
        self._placed = ""

    def place_alone(self) -> None:
        """Write the file where there is no repository (yet).

        Raises:
            InstructionsMissing: the file system refused.

        """
        try:
            self._write(self._text)
        except OSError as error:
            raise InstructionsMissing(f"{self.name} cannot be written: {error.strerror}") from error

    async def place(self) -> None:
        """Write the file into a checkout, before the project's own words, and hide it from git.

        Raises:
            OSError, GitFailed: it is not in place.

        """
        tracked = await self._is_tracked()
        text = self._text
        self._placed = await self._project_words() if tracked else ""
        if self._placed:
            text += f"\n{PROJECT_WORDS}\n\n{self._placed}\n"
        self._write(text)
        if tracked:
            await self._git.run("update-index", "--skip-worktree", "--", self.name)
        else:
            self._exclude()

    async def lift(self) -> None:
        """Take the file away, so that a checkout meets the project's own or none.

        Raises:
            OSError, GitFailed: it is still there.

        """
        if await self._is_tracked():
            await self._git.run("update-index", "--no-skip-worktree", "--", self.name)
            await self._git.run("checkout", "--quiet", "--", self.name)
        else:
            self._path.unlink(missing_ok=True)

    async def collect(self, branch: str) -> bool:
        """Commit what the agent has made of the project's part of the file; tell whether there was anything.

        Only on the branch that is checked out, and only if the agent has not committed the file itself.
        Nothing is taken from within our words; one that was emptied or deleted is left as the project has it.

        Args:
            branch: where the agent's commits are expected.

        Raises:
            OSError, GitFailed: it could not be committed.

        """
        words = self._written_words()
        if not words or words == self._placed.strip():
            return False
        if await self._git.find("symbolic-ref", "--quiet", "--short", "HEAD") != branch:
            return False
        ref = f"refs/heads/{branch}"
        parent = await self._git.run("rev-parse", "--verify", f"{ref}^{{commit}}")
        committed = await self._git.find("cat-file", "blob", f"{parent}:{self.name}") or ""
        mode = (await self._git.find("ls-tree", parent, "--", self.name) or "100644").split()[0]
        if committed != self._placed or mode not in _PLAIN_FILES:
            return False
        entry = await self._commit(f"{words}\n", mode=mode, parent=parent, ref=ref)
        await self._git.run("update-index", "--add", "--cacheinfo", entry)
        await self.place()
        return True

    def _written_words(self) -> str:
        """Return what is in the file besides our words; empty if nobody can tell the two apart."""
        text = self._read()
        rest = text.removeprefix(self._text).replace(PROJECT_WORDS, "", 1)
        return "" if INSTRUCTIONS_MARK in rest else rest.strip()

    def _read(self) -> str:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return ""
        with os.fdopen(descriptor, "rb", closefd=True) as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_OWN_BYTES:
                return ""
            try:
                return file.read(MAX_OWN_BYTES).decode()
            except UnicodeDecodeError:
                return ""

    async def _commit(self, text: str, *, mode: str, parent: str, ref: str) -> str:
        """Put a commit that changes this file alone on a branch; return the file's entry in an index."""
        with tempfile.TemporaryDirectory(prefix="instructions-") as directory:
            content = Path(directory) / "content"
            content.write_text(text)
            blob = await self._git.run("hash-object", "-w", "--no-filters", str(content))
            entry = f"{mode},{blob},{self.name}"
            # An index of its own: what the agent has staged and not committed stays so.
            git = Git(self._directory, {"GIT_INDEX_FILE": str(Path(directory) / "index")})
            await git.run("read-tree", parent)
            await git.run("update-index", "--add", "--cacheinfo", entry)
            tree = await git.run("write-tree")
            commit = await git.run("commit-tree", tree, "-p", parent, "-m", f"Update {self.name}")
            await git.run("update-ref", ref, commit, parent)
        return entry

    async def is_committed(self, commit: str) -> bool:
        """Tell whether a commit carries our words as if they were the project's."""
        words = await self._git.find("cat-file", "blob", f"{commit}:{self.name}")
        return words is not None and INSTRUCTIONS_MARK in words

    async def _is_tracked(self) -> bool:
        return await self._git.find("ls-files", "--error-unmatch", "--", self.name) is not None

    async def _project_words(self) -> str:
        words = await self._git.find("cat-file", "blob", f":{self.name}") or ""
        # Should our words ever have been committed, they are not said twice.
        return words.partition(PROJECT_WORDS)[2].strip() if INSTRUCTIONS_MARK in words else words

    def _exclude(self) -> None:
        line = f"/{self.name}\n"
        path = self._directory / ".git" / "info" / "exclude"
        path.parent.mkdir(exist_ok=True)
        known = path.read_text() if path.is_file() else ""
        if line not in known.splitlines(keepends=True):
            path.write_text(known + ("" if known.endswith("\n") or not known else "\n") + line)

    def _write(self, text: str) -> None:
        """Replace whatever is there, a link included, without following it."""
        if self._path.is_file() and not self._path.is_symlink() and self._path.read_text() == text:
            return
        partial = self._directory / f".{self.name}.partial"
        partial.unlink(missing_ok=True)
        partial.write_text(text)
        partial.replace(self._path)


def read_instructions(
    variables: Mapping[str, str], *, directory: Path, agent_type: str
) -> Instructions | None:
    """Return the instructions that the control plane announced; None if it announced none.

    Args:
        variables: the environment, which says where the inputs are and what they must be.
        directory: the agent's working directory.
        agent_type: which agent reads them.

    Raises:
        InstructionsMissing: they are absent or not the announced ones.

    """
    announced = variables.get(ENV_INSTRUCTIONS_SHA256)
    if not announced:
        return None
    path = Path(variables.get(ENV_INPUT_DIR) or "/inputs") / INSTRUCTIONS_INPUT
    try:
        content = path.read_bytes()
        text = content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InstructionsMissing(f"the instructions cannot be read: {type(error).__name__}") from error
    if hashlib.sha256(content).hexdigest() != announced:
        raise InstructionsMissing("the instructions are not the ones that were announced")
    return Instructions(text, directory, agent_type)
