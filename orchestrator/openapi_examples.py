"""A request that works, for every operation that takes a body: operation → its JSON."""

from typing import Any, Final

_PROJECT: Final = "0b9c2f6e-6d0f-4a53-9a55-2f0c6e1d7a10"
_BOOKS: Final = "an inventory of books with title, author and year"

EXAMPLES: Final[dict[str, Any]] = {
    "login_create": {"username": "ann", "password": "correct horse battery", "name": "laptop"},
    "projects_create": {"name": "Books", "description": _BOOKS, "modules": ["backend"]},
    "projects_partial_update": {"name": "Library"},
    "projects_secrets_create": {"key": "MAIL_API_KEY", "value": "never shown again"},
    "tasks_create": {"project_id": _PROJECT, "type": "engineering", "spec": _BOOKS, "deploy_after": True},
    "tasks_attachments_create": {"attachment_id": _PROJECT},
    "questions_answer_create": {"text": "By title."},
    "tokens_create": {"name": "ci", "scopes": ["read", "write"], "expires_in_days": 30},
    "invitations_create": {"role": "member", "expires_in_hours": 48},
    "users_partial_update": {"role": "operator"},
    "webhooks_create": {"url": "https://hooks.example/in", "events": ["task.completed", "task.failed"]},
    "webhooks_partial_update": {"is_active": True},
    "agent_configs_create": {"name": "careful", "agent_type": "claude", "memory_mb": 4096},
    "agent_configs_partial_update": {"is_active": False},
    "servers_provision_create": {"replace": False},
    "servers_reinstall_create": {"name": "time4vps-110", "projects": [], "system": ""},
    "worker_messages_create": {"message": "Half of it is done."},
    "worker_questions_create": {"text": "Which colour?", "options": ["red", "blue"]},
}
