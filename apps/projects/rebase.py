"""Replays a worker's commits onto a newer base, in a throw-away repository and without a checkout.

Every commit is merged into the new base by ``git merge-tree`` as a cherry-pick
would be, and written with its own author, message and dates: the same commits on
the same base have the same ids, however often a crash makes us repeat it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from apps.errors import Conflict, Invalid
from apps.projects import objects
from apps.projects.git import Git
from apps.projects.git_names import check_sha

_SHOWN_PATHS: Final = 20
_ANY_MOMENT: Final = datetime(2000, 1, 1, tzinfo=UTC)
#: The control plane's name on what it wrote; the author stays the agent.
_COMMITTER: Final = b"codegen-orchestrator <orchestrator@localhost>"


class RebaseConflict(Conflict):
    """The change and what was merged meanwhile touch the same lines; a new task starts from both."""

    code = "rebase_conflict"


class RebaseEmpty(Invalid):
    """What the change does is in the project already."""

    code = "rebase_empty"


def replay(git: Git, *, base_sha: str, head_sha: str, onto: str) -> str:
    """Return the head of base..head as it is on another base; no branch points to it yet.

    Args:
        git: in a throw-away repository that has all three commits; base..head was inspected.
        base_sha: where the commits began.
        head_sha: the last of them.
        onto: the new base.

    Raises:
        RebaseConflict: a commit cannot be applied; ``details["paths"]`` says where.
        RebaseEmpty: nothing of it is left.

    """
    span = f"{check_sha(base_sha)}..{check_sha(head_sha)}"
    tip = check_sha(onto)
    for commit in git.text("rev-list", "--reverse", "--topo-order", span).split():
        tip = _pick(git, commit, tip)
    if tip == onto:
        raise RebaseEmpty(details={"onto": onto})
    return tip


def _pick(git: Git, commit: str, tip: str) -> str:
    content = git.run("cat-file", "commit", commit).output
    headers = content.partition(b"\n\n")[0].split(b"\n")
    parents = [line.split(b" ")[1].decode() for line in headers if line.startswith(b"parent ")]
    if parents == [tip]:
        return commit
    tree = _merged_tree(git, commit=commit, parent=parents[0], tip=tip)
    if tree == git.text("rev-parse", f"{tip}^{{tree}}"):
        return tip
    return _write(git, content, tree=tree, parent=tip)


def _merged_tree(git: Git, *, commit: str, parent: str, tip: str) -> str:
    # merge-tree finds the common ancestor itself: this one's only one is the commit's parent.
    ours = objects.commit_tree(
        git, tree=f"{tip}^{{tree}}", parents=(parent,), message="tip", authored_at=_ANY_MOMENT
    )
    answer = git.run(
        "merge-tree", "--write-tree", "--no-messages", "--name-only", "-z", ours, commit, allowed_exits=(0, 1)
    )
    tree, *paths = answer.output.decode("utf-8", "replace").rstrip("\0").split("\0")
    if answer.exit_code:
        raise RebaseConflict(details={"commit": commit, "paths": _shown(paths)})
    return tree


def _shown(paths: Sequence[str]) -> list[str]:
    known = sorted({"".join(c for c in path if c.isprintable())[:200] for path in paths if path})
    return known[:_SHOWN_PATHS]


def _write(git: Git, content: bytes, *, tree: str, parent: str) -> str:
    head, _, message = content.partition(b"\n\n")
    kept: dict[bytes, bytes] = {}
    for line in head.split(b"\n"):
        name, _, value = line.partition(b" ")
        kept.setdefault(name, value)
    moment = b" ".join(kept[b"committer"].rsplit(b" ", 2)[1:])
    lines = [
        b"tree " + tree.encode(),
        b"parent " + parent.encode(),
        b"author " + kept[b"author"],
        b"committer " + _COMMITTER + b" " + moment,
    ]
    if b"encoding" in kept:
        lines.append(b"encoding " + kept[b"encoding"])
    written = b"\n".join(lines) + b"\n\n" + message
    return git.text("hash-object", "-t", "commit", "-w", "--stdin", stdin=written)
