"""Rows of the projects app."""

from apps.projects.models.accounts import IdempotencyRecord, User
from apps.projects.models.merge_request import MergeRequest, MergeRequestStatus
from apps.projects.models.project import ForgeName, Module, Project, ProjectSecret, ProjectStatus
from apps.projects.models.task import Task, TaskEvent, TaskEventKind, TaskStatus, TaskType

__all__ = [
    "ForgeName",
    "IdempotencyRecord",
    "MergeRequest",
    "MergeRequestStatus",
    "Module",
    "Project",
    "ProjectSecret",
    "ProjectStatus",
    "Task",
    "TaskEvent",
    "TaskEventKind",
    "TaskStatus",
    "TaskType",
    "User",
]
