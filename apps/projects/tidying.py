"""Removes from the git host what is of no more use: a pull request nobody will merge, its branch."""

from apps.projects.forge.base import Repository
from apps.projects.forge.hosting import Hosting
from apps.projects.models import MergeRequest, MergeRequestStatus
from apps.projects.proposals import is_ours
from apps.projects.tools import Tools, step


def tidy_change(change: MergeRequest, repository: Repository, hosting: Hosting, tools: Tools) -> None:
    """Close a change's pull request and delete its branch; what is gone or somebody else's is left alone.

    Args:
        change: final; its row with the project.
        repository: where it was proposed.
        hosting: the host.
        tools: the forge.

    Raises:
        Unavailable: the host does not answer.

    """
    if change.status != MergeRequestStatus.MERGED and change.pull_request is not None:
        with step("close pull request"):
            hosting.close_pull_request(repository, change.pull_request)
    with step("delete branch"):
        found = tools.forge.head(repository, change.branch)
        # A pull request whose number was lost in a crash is closed by this, too.
        if found is not None and is_ours(change, found):
            tools.forge.delete_branch(repository, change.branch)
