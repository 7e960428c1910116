"""How a proposed change ends at the git host without being merged, and whose move it is then."""

from apps.errors import Conflict
from apps.failures import Ended, FailureKind


class ProposalEnded(Ended, Conflict):
    """The git host did not let the change in."""

    code = "proposal_ended"


class HostChecksFailed(ProposalEnded):
    """The project's checks failed at the git host."""

    code = "host_checks_failed"
    kind = FailureKind.PRODUCT


class HostChecksMissing(ProposalEnded):
    """The git host never began the required check: look whether workflows are enabled for the repository."""

    code = "host_checks_missing"


class HostChecksLate(ProposalEnded):
    """The git host's checks did not end in time: see there whether a runner takes them, then try again."""

    code = "host_checks_late"


class HostChecksCanceled(ProposalEnded):
    """The git host's checks were canceled twice, by a person or a time limit: see their log there."""

    code = "host_checks_canceled"


class HostChecksTimedOut(ProposalEnded):
    """The git host's checks ran into its time limit, twice."""

    code = "host_checks_timed_out"


class HostChecksBroken(ProposalEnded):
    """The git host could not run the checks, twice."""

    code = "host_checks_broken"


class ActionRequired(ProposalEnded):
    """Somebody has to approve something at the git host; then the task can be tried again."""

    code = "host_action_required"
    kind = FailureKind.USER


class ClosedByPerson(ProposalEnded):
    """Somebody closed the pull request without merging it."""

    code = "pull_request_closed"
    kind = FailureKind.USER


class MergedOtherwise(ProposalEnded):
    """Somebody merged the pull request with another commit than the one that was verified."""

    code = "merged_otherwise"
    kind = FailureKind.USER


class BranchTakenOver(ProposalEnded):
    """Somebody else's commits are on the task's branch; they are left alone."""

    code = "branch_taken_over"
    kind = FailureKind.USER
