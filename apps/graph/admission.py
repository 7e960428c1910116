"""Why there is no place for a release, and whose move it is: one table."""

from enum import StrEnum
from typing import Final

from apps.errors import OrchestratorError, Unavailable
from apps.failures import Failure, FailureKind


class Move(StrEnum):
    """What a refusal asks for."""

    WAIT = "wait"  # there will be a place; until the run's deadline
    OPERATOR = "operator"  # somebody has to do what the message says
    NEVER = "never"  # the project would not fit anywhere


MOVES: Final[dict[str, Move]] = {
    "no_capacity": Move.WAIT,
    "low_memory": Move.WAIT,
    "low_disk": Move.WAIT,
    "no_fresh_metrics": Move.WAIT,
    "server_away": Move.WAIT,
    "deployment_under_way": Move.WAIT,
    "dispatch_under_way": Move.WAIT,
    "no_server": Move.OPERATOR,
    "server_incomplete": Move.OPERATOR,
    "never_fits": Move.NEVER,
}


class PlaceAwaited(Unavailable):
    """There is no place for the release yet."""

    code = "place_awaited"


def refusal(error: OrchestratorError) -> Failure:
    """Return the failure that a refused place is; one that passes is waited for instead.

    Raises:
        OrchestratorError: the same error, if it is not about a place.
        Unavailable: the place will be free some day.

    """
    move = MOVES.get(error.error_code)
    if move is None:
        raise error
    if move is Move.WAIT:
        raise PlaceAwaited(error.message, code=error.error_code, details=error.details) from error
    return Failure(
        stage="allocation",
        kind=FailureKind.PLATFORM if move is Move.OPERATOR else FailureKind.USER,
        code=error.error_code,
        message=error.message,
        retryable=move is Move.OPERATOR,
        details={**error.details, "move": str(move)},
    )


def is_awaited(code: str) -> bool:
    """Tell whether a run that could not go on for this reason waits for a place."""
    return MOVES.get(code) is Move.WAIT
