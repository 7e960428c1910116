"""Which agent works, with which model and standing instructions."""

from typing import ClassVar

from django.db import models

from worker_image.contract import AgentType

AGENT_CHOICES = [(agent.value, agent.value) for agent in AgentType]


class AgentConfig(models.Model):
    """A named choice of agent that operators may edit."""

    name = models.CharField(max_length=60, unique=True)
    agent_type = models.CharField(max_length=20, choices=AGENT_CHOICES)
    model = models.CharField(max_length=80, blank=True, help_text="Empty: the agent's own default.")
    system_prompt = models.TextField(blank=True)
    memory_mb = models.PositiveIntegerField(
        null=True, blank=True, help_text="MiB that a worker may use; empty: as the installation has it."
    )
    cpus = models.FloatField(
        null=True, blank=True, help_text="CPUs that a worker may use; empty: as the installation has it."
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(agent_type__in=sorted(agent.value for agent in AgentType)),
                name="agent_config_type_known",
            )
        ]

    def __str__(self) -> str:
        return self.name
