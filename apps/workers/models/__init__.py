"""Rows of the workers app."""

from apps.workers.models.agent_config import AgentConfig
from apps.workers.models.attachment import Attachment
from apps.workers.models.departed import DepartedOwner
from apps.workers.models.image import ImageStatus, WorkerImage
from apps.workers.models.inbox import DeadLetter, DeadLetterStatus, Snapshot, WorkerEvent
from apps.workers.models.liveness import Ground, Verdict
from apps.workers.models.turn import Turn, TurnStatus
from apps.workers.models.verification import Verification, VerificationStatus
from apps.workers.models.worker import ACTIVE, UNFINISHED, Worker, WorkerStatus

__all__ = [
    "ACTIVE",
    "UNFINISHED",
    "AgentConfig",
    "Attachment",
    "DeadLetter",
    "DeadLetterStatus",
    "DepartedOwner",
    "Ground",
    "ImageStatus",
    "Snapshot",
    "Turn",
    "TurnStatus",
    "Verdict",
    "Verification",
    "VerificationStatus",
    "Worker",
    "WorkerEvent",
    "WorkerImage",
    "WorkerStatus",
]
