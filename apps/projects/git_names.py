"""Names that are handed to git: checked before they become arguments, refs or paths."""

import re

from apps.errors import Invalid

_BRANCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_SHA = re.compile(r"[0-9a-f]{40}")


def check_sha(sha: str) -> str:
    """Return a full commit id, or refuse it.

    Raises:
        Invalid: it is not forty lower-case hexadecimal digits.

    """
    if not _SHA.fullmatch(sha):
        raise Invalid("This is not a full commit id", code="bad_sha", details={"field": "sha"})
    return sha


def check_branch(branch: str) -> str:
    """Return a branch name that is safe as an argument, a ref and a path, or refuse it.

    Raises:
        Invalid: the name is too long or has a form that git or we reject.

    """
    good = len(branch) <= 200 and _BRANCH.fullmatch(branch) is not None and ".." not in branch
    if not good or branch == "HEAD" or any(part.endswith((".lock", ".")) for part in branch.split("/")):
        raise Invalid("This is not a usable branch name", code="bad_branch", details={"field": "branch"})
    return branch
