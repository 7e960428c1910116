"""The writers of this app's rows: they check, write and enqueue, and do nothing outside the database."""

from apps.projects.services.changes import (
    propose_change,
    rebase_change,
    request_merge,
    tidy_changes,
    withdraw_change,
)
from apps.projects.services.dispatches import (
    DispatchRequest,
    DispatchUnderWay,
    cancel_dispatch,
    request_dispatch,
)
from apps.projects.services.people import (
    InvitationExpired,
    InvitationUnknown,
    InvitationUsed,
    LastOwner,
    PersonNotFound,
    TelegramTaken,
    change_person,
    invite,
    redeem,
    withdraw_invitation,
)
from apps.projects.services.projects import (
    ProjectArchived,
    ProjectBusy,
    archive_project,
    create_project,
    request_scaffold,
    update_project,
)
from apps.projects.services.tokens import TooManyTokens, issue_token, revoke_token
from apps.projects.services.vault import (
    MAX_SECRETS,
    BotTokenTaken,
    delete_secret,
    generate_secrets,
    set_secret,
)
from apps.projects.services.work import (
    cancel_pending_task,
    create_task,
    finish_task,
    mark_task_canceling,
    mark_task_running,
)

__all__ = [
    "MAX_SECRETS",
    "BotTokenTaken",
    "DispatchRequest",
    "DispatchUnderWay",
    "InvitationExpired",
    "InvitationUnknown",
    "InvitationUsed",
    "LastOwner",
    "PersonNotFound",
    "ProjectArchived",
    "ProjectBusy",
    "TelegramTaken",
    "TooManyTokens",
    "archive_project",
    "cancel_dispatch",
    "cancel_pending_task",
    "change_person",
    "create_project",
    "create_task",
    "delete_secret",
    "finish_task",
    "generate_secrets",
    "invite",
    "issue_token",
    "mark_task_canceling",
    "mark_task_running",
    "propose_change",
    "rebase_change",
    "redeem",
    "request_dispatch",
    "request_merge",
    "request_scaffold",
    "revoke_token",
    "set_secret",
    "tidy_changes",
    "update_project",
    "withdraw_change",
    "withdraw_invitation",
]
