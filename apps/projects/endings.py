"""What an error of the reconcilers says: whose move it is, and whether another try may help."""

from typing import Final

from apps.errors import Invalid, OrchestratorError, Unavailable
from apps.failures import Ended, Failure, FailureKind
from apps.projects.forge.base import BaseMoved, MergeConflict, RepositoryNotFound, RepositoryTaken
from apps.projects.forge.hosting import (
    AppNotInstalled,
    ForgeCredentialInvalid,
    ForgeForbidden,
    ForgeRefused,
    OrganisationNotFound,
    PullRequestClosed,
    SecretRefused,
    WorkflowNotFound,
)
from apps.projects.proposal_errors import ProposalEnded
from apps.projects.rebase import RebaseConflict
from apps.projects.template_errors import TemplateUnusable

#: The git host says no to us; what the agent made has no part in it.
HOST_REFUSALS: Final = (
    ForgeRefused,
    ForgeForbidden,
    ForgeCredentialInvalid,
    AppNotInstalled,
    OrganisationNotFound,
)
#: Somebody has to do something at the git host, or give another value.
_FOR_A_PERSON: Final = (
    PullRequestClosed,
    RepositoryNotFound,
    RepositoryTaken,
    SecretRefused,
    WorkflowNotFound,
)
_ENDS_OF_THE_CHANGE: Final = (
    Invalid,
    BaseMoved,
    MergeConflict,
    RebaseConflict,
    ProposalEnded,
    PullRequestClosed,
    *HOST_REFUSALS,
)


class AttemptsExhausted(OrchestratorError):
    """Every attempt ended without an answer."""

    code = "attempts_exhausted"


def failure_of(error: OrchestratorError, *, stage: str) -> Failure:
    """Return the record of an error: the work's own, a person's or the host's move, or ours."""
    return Failure(
        stage=stage,
        kind=_kind_of(error),
        code=error.error_code,
        message=error.message,
        retryable=_is_retryable(error),
        details=error.details,
    )


def is_refusal(error: OrchestratorError) -> bool:
    """Tell whether a change was refused; any other error means that the platform broke."""
    return isinstance(error, _ENDS_OF_THE_CHANGE)


def _kind_of(error: OrchestratorError) -> FailureKind:
    if isinstance(error, Ended):
        return error.kind
    if isinstance(error, _FOR_A_PERSON):
        return FailureKind.USER
    if isinstance(error, HOST_REFUSALS):
        return FailureKind.PROVIDER
    if isinstance(error, TemplateUnusable):
        return FailureKind.PLATFORM
    product = isinstance(error, Invalid | MergeConflict | RebaseConflict)
    return FailureKind.PRODUCT if product else FailureKind.PLATFORM


def _is_retryable(error: OrchestratorError) -> bool:
    if isinstance(error, Ended):
        return error.retryable
    return isinstance(error, Unavailable | BaseMoved | RebaseConflict | AttemptsExhausted)
