"""Operators' choices of agents."""

from typing import Any

from django.db import IntegrityError, transaction

from apps.errors import Conflict
from apps.workers.models import AgentConfig


class AgentConfigExists(Conflict):
    """There is a choice of agent of that name already."""

    code = "agent_config_exists"


def create(**fields: Any) -> AgentConfig:
    """Add a choice of agent.

    Raises:
        AgentConfigExists: the name is taken.
    """
    try:
        with transaction.atomic():
            return AgentConfig.objects.create(**fields)
    except IntegrityError as error:
        raise AgentConfigExists(details={"name": fields.get("name")}) from error


def update(*, config_id: int, **fields: Any) -> AgentConfig:
    """Change a choice of agent.

    Raises:
        AgentConfigExists: the new name is taken.
    """
    try:
        with transaction.atomic():
            config = AgentConfig.objects.select_for_update().get(pk=config_id)
            for name, value in fields.items():
                setattr(config, name, value)
            config.save(update_fields=[*fields, "updated_at"])
            return config
    except IntegrityError as error:
        raise AgentConfigExists(details={"name": fields.get("name")}) from error
