"""What a run carries from node to node: ids and small values, never rows, logs or secrets."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypedDict


class Verdict(StrEnum):
    """What a node concluded; routing turns it into the next node."""

    OK = "ok"  # go on
    REWORK = "rework"  # the work said no: back to the agent with the evidence
    REBASE = "rebase"  # the base has moved on: the same commits on the new one
    NEW_ATTEMPT = "new_attempt"  # the worker broke: another one, once this one is gone
    AGAIN = "again"  # one more round of a declared loop (the next service, an answered question)
    STOP = "stop"  # nothing more can be done


class RunState(TypedDict, total=False):
    """The state of a run; identifiers are text because checkpoints are JSON-like."""

    run_id: str
    task_id: str
    project_id: str
    visit: int  # how many node visits have ended; the last Step's seq
    since: str  # when the present visit began: the end of the one before
    verdict: str
    failure: dict[str, Any] | None  # a Failure record: why the verdict is not ok
    # Budgets are part of the state, so that a run keeps those it began with.
    max_attempts: int
    max_reworks: int
    max_rebases: int  # within one round
    attempt: int  # number of the present worker, from 1
    rework: int  # how often the work was sent back to an agent
    rebase: int  # how often the present round's change was put on a newer base
    fresh: bool  # the project had no repository when the run began
    base_sha: str  # of the worker's checkout: it stays its base when its change is rebased
    base_branch: str
    branch: str
    worker_id: str
    turn_id: str
    change_id: str
    verification_id: str
    measured: dict[str, Any]  # the numbers of the present verification
    # deploy
    place: str  # "server": by us over SSH; absent: as the project's git host has it
    commit_sha: str
    bundle_name: str
    bundle_sha256: str
    service: int  # index of the service being released
    services: int
    question_id: str
    secret_key: str
    deployment_id: str
    ports: dict[str, int]  # role → port of the services that this run has released already
    rollback_to: str  # the earlier release that this run repeats
    dispatch_id: str
    dispatch_try: int
    url: str


@dataclass(frozen=True, slots=True)
class Wait:
    """A node's answer when the row it looked at is not final yet."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


Node = Callable[[RunState], RunState | Wait]
