"""From a git bundle of ours to the files of one commit, packed for a server that has no git."""

import contextlib
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from apps import storage
from apps.errors import Unavailable

_SECONDS: Final = 20
#: Attributes of the project's own would leave files out, or change them.
_ATTRIBUTES: Final = "* -export-ignore -export-subst -text -ident -filter -working-tree-encoding\n"


class TreeUnavailable(Unavailable):
    """The release's files could not be packed."""

    code = "tree_unavailable"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """The files of one commit as a tar."""

    path: Path
    sha256: str


@contextlib.contextmanager
def packed(*, bundle_name: str, bundle_sha256: str, commit_sha: str) -> Iterator[Tree]:
    """Pack a commit; the file is gone after the block.

    Raises:
        BundleMissing: the storage has no such bundle.
        TreeUnavailable: the bundle does not hold the commit, or git did not come to its end.
        Unavailable: the bundle is damaged, or our own disk is full.
    """
    with tempfile.TemporaryDirectory(prefix="release-") as directory:
        place = Path(directory)
        bundle, repository, tree = place / "release.bundle", place / "release.git", place / "tree.tar"
        storage.copy_to(bundle_name, bundle, sha256=bundle_sha256)
        _git("clone", "--quiet", "--bare", "--template=", str(bundle), str(repository))
        (repository / "info").mkdir(exist_ok=True)
        (repository / "info" / "attributes").write_text(_ATTRIBUTES)
        words = ("-c", "tar.umask=0022", "archive", "--format=tar", f"--output={tree}", commit_sha)
        _git("--git-dir", str(repository), *words)
        with tree.open("rb") as file:
            yield Tree(path=tree, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def _git(*words: str) -> None:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "GIT_CONFIG_NOSYSTEM": "1"}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        subprocess.run(["git", *words], env=environment, check=True, capture_output=True, timeout=_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        raise TreeUnavailable(details={"git": type(error).__name__}) from error
