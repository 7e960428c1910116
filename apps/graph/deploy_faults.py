"""What a failed deployment says about the code: one table; what it does not say is never held against it.

Only a fault of the code goes back to an agent. Everything unknown is tried
again as it is, boundedly: an agent that is asked to mend a network would change
the project instead.
"""

import re
from dataclasses import replace
from enum import StrEnum
from typing import Final

from apps.failures import Failure, FailureKind
from apps.projects.selectors import DispatchOutcome


class Fault(StrEnum):
    """Whose a failed deployment is."""

    CODE = "code"
    PERSON = "person"  # the message says what to do; no other try helps before that
    ELSEWHERE = "elsewhere"  # the network, a machine, the git host: tried again


#: Codes of releases that we bring about ourselves, as processes or on a server.
PROCESS_FAULTS: Final[dict[str, Fault]] = {
    "setup_failed": Fault.CODE,
    "service_exited": Fault.CODE,
    "smoke_failed": Fault.CODE,
    "build_failed": Fault.CODE,
    "not_healthy": Fault.CODE,
    "compose_missing": Fault.PERSON,
    "environment_broken": Fault.PERSON,
    "port_missing": Fault.PERSON,
    "bot_token_refused": Fault.PERSON,
}
#: Codes of workflows; a failed one is judged by its step.
WORKFLOW_FAULTS: Final[dict[str, Fault]] = {
    "workflow_canceled": Fault.PERSON,
    "workflow_action_required": Fault.PERSON,
    "workflow_broken": Fault.PERSON,
    "workflow_not_found": Fault.PERSON,
    "workflow_not_started": Fault.PERSON,
    "secret_refused": Fault.PERSON,
    "secret_lost": Fault.PERSON,
    "bot_token_refused": Fault.PERSON,
    "deploy_branch_moved": Fault.PERSON,
    "deploy_timeout": Fault.PERSON,
    "forge_refused": Fault.PERSON,
    "forge_forbidden": Fault.PERSON,
    "forge_credential_invalid": Fault.PERSON,
    "forge_app_not_installed": Fault.PERSON,
    "forge_organisation_not_found": Fault.PERSON,
}
#: Steps in which nothing but the project's own code is at work, whatever the job is called.
CODE_STEPS: Final = re.compile(r"\b(build|tests?|checks|lint|migrat\w*)\b", re.I)
#: Steps that put it live; they fail for many reasons, of which one is the code's.
HEALTH_STEPS: Final = re.compile(r"\b(activate|deploy|start|health\w*|smoke)\b", re.I)
UNHEALTHY_WORDS: Final = re.compile(r"\bnot healthy:|did not stay healthy|\bunhealthy\b", re.I)
#: The release that served until now does not come up again: then it is not the new code.
BOTH_WORDS: Final = "the release before is not healthy either"
#: A server keeps three releases.
GONE_WORDS: Final = "is not on the server"
#: Words by which a step says that it was not the code after all.
ELSEWHERE_WORDS: Final = re.compile(
    r"could not resolve host|temporary failure in name resolution|network is unreachable|"
    r"connection (timed out|reset|refused)|tls handshake|toomanyrequests|rate limit|"
    r"no space left on device|permission denied \(publickey|host key verification failed|"
    r"service unavailable|bad gateway|cannot connect to the docker daemon|"
    r"docker: (command )?not found|disk quota exceeded|read-only file system",
    re.I,
)


def fault_of_process(code: str, log: str) -> Fault:
    """Judge a release that we brought about ourselves."""
    fault = PROCESS_FAULTS.get(code, Fault.ELSEWHERE)
    return Fault.ELSEWHERE if fault is Fault.CODE and ELSEWHERE_WORDS.search(log) else fault


def fault_of_workflow(code: str, log: dict[str, str] | None) -> Fault:
    """Judge a dispatched workflow.

    Args:
        code: why its row ended.
        log: job, step and excerpt of where it failed, if the host says so.

    """
    if code != "workflow_failed":
        return WORKFLOW_FAULTS.get(code, Fault.ELSEWHERE)
    if log is None:
        return Fault.ELSEWHERE
    step, words = log["step"], log["excerpt"]
    if GONE_WORDS in words:
        return Fault.PERSON
    if CODE_STEPS.search(step):
        return Fault.ELSEWHERE if ELSEWHERE_WORDS.search(words) else Fault.CODE
    is_unhealthy = HEALTH_STEPS.search(step) and UNHEALTHY_WORDS.search(words) and BOTH_WORDS not in words
    return Fault.CODE if is_unhealthy else Fault.ELSEWHERE


def with_fault(failure: Failure, fault: Fault) -> Failure:
    """Return a failure that says whose it is."""
    kind = FailureKind.PRODUCT if fault is Fault.CODE else failure.kind
    return replace(failure, kind=kind, details={**failure.details, "fault": str(fault)})


def failure_of_workflow(outcome: DispatchOutcome) -> tuple[Failure, Fault]:
    """Return why a dispatched workflow brought no release about, and whose fault that is."""
    failure = outcome.failure or Failure(
        stage="workflow",
        kind=FailureKind.USER if outcome.status == "canceled" else FailureKind.PLATFORM,
        code=f"workflow_{outcome.status}",
        message=f"The workflow ended as {outcome.status}.",
        retryable=True,
    )
    fault = fault_of_workflow(failure.code, outcome.log)
    if fault is Fault.PERSON and failure.code == "workflow_failed":
        gone = "The server does not keep this release any more: choose a newer one, or deploy again."
        failure = replace(failure, code="release_gone", kind=FailureKind.USER, message=gone)
    return with_fault(failure, fault), fault
