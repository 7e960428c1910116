"""Rows of the projects app."""

from apps.projects.models.accounts import IdempotencyRecord, Invitation, InvitingBot, User
from apps.projects.models.dispatch import Dispatch, DispatchStatus
from apps.projects.models.merge_request import MergeRequest, MergeRequestStatus
from apps.projects.models.project import (
    ForgeName,
    Module,
    Project,
    ProjectSecret,
    ProjectStatus,
    SecretSource,
)
from apps.projects.models.repository import HostedRepository, RepositoryStatus
from apps.projects.models.task import Task, TaskEvent, TaskEventKind, TaskStatus, TaskType
from apps.projects.models.token import PersonalToken

__all__ = [
    "Dispatch",
    "DispatchStatus",
    "ForgeName",
    "HostedRepository",
    "IdempotencyRecord",
    "Invitation",
    "InvitingBot",
    "MergeRequest",
    "MergeRequestStatus",
    "Module",
    "PersonalToken",
    "Project",
    "ProjectSecret",
    "ProjectStatus",
    "RepositoryStatus",
    "SecretSource",
    "Task",
    "TaskEvent",
    "TaskEventKind",
    "TaskStatus",
    "TaskType",
    "User",
]
