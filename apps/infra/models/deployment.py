"""What was deployed to servers, and the ports given out on them."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.encryption import EncryptedTextField
from apps.infra.models.server import Server
from apps.lifecycle import Lifecycle, status_check, transitions


class DeploymentTarget(models.TextChoices):
    """How a release is brought about."""

    PROCESS = "process", _("As a process of ours")
    WORKFLOW = "workflow", _("By a workflow of the git host")
    SERVER = "server", _("On a server, over SSH")


class ServiceKind(models.TextChoices):
    """What a service has to do to be well."""

    WEB = "web", _("Web service")  # answers at its health path
    BOT = "bot", _("Bot")  # its token answers, and it keeps running
    WORKER = "worker", _("Worker")  # keeps running


class DeploymentStatus(models.TextChoices):
    """Where a release is in its life."""

    PENDING = "pending", _("Pending")
    INSTALLING = "installing", _("Installing")
    STARTING = "starting", _("Starting")  # runs, has not answered yet
    LIVE = "live", _("Live")  # answered from outside; the one that users reach
    STOPPING = "stopping", _("Stopping")
    STOPPED = "stopped", _("Stopped")  # replaced by a newer release, or stopped by a person
    FAILED = "failed", _("Failed")  # the release said no
    CRASHED = "crashed", _("Crashed")  # the platform broke
    CANCELING = "canceling", _("Canceling")
    CANCELED = "canceled", _("Canceled")


_NOT_YET_LIVE = [DeploymentStatus.FAILED, DeploymentStatus.CRASHED, DeploymentStatus.CANCELING]


class ServiceDeployment(Lifecycle):
    """One release of one service of a project on a server."""

    TRANSITIONS: ClassVar = transitions(
        {
            # A workflow reports that it is done; whether it had begun is its business.
            DeploymentStatus.PENDING: [
                DeploymentStatus.INSTALLING,
                DeploymentStatus.STARTING,
                *_NOT_YET_LIVE,
            ],
            DeploymentStatus.INSTALLING: [DeploymentStatus.STARTING, *_NOT_YET_LIVE],
            DeploymentStatus.STARTING: [DeploymentStatus.LIVE, *_NOT_YET_LIVE],
            DeploymentStatus.LIVE: [DeploymentStatus.STOPPING],
            DeploymentStatus.STOPPING: [DeploymentStatus.STOPPED],
            # A workflow may have ended well before the word reached it: then its release is the one there is.
            DeploymentStatus.CANCELING: [DeploymentStatus.CANCELED, DeploymentStatus.STARTING],
            DeploymentStatus.STOPPED: [],
            DeploymentStatus.FAILED: [],
            DeploymentStatus.CRASHED: [],
            DeploymentStatus.CANCELED: [],
        }
    )

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    idempotency_key = models.CharField(max_length=120, unique=True, editable=False)
    server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="deployments")
    owner_id = models.BigIntegerField(help_text="The person whose project it is.")
    project_id = models.UUIDField()
    project_slug = models.CharField(max_length=40)
    task_id = models.UUIDField(null=True, blank=True)
    service_name = models.CharField(max_length=60, help_text="Of a workflow's release: project.")
    target = models.CharField(
        max_length=20, choices=DeploymentTarget.choices, default=DeploymentTarget.PROCESS
    )
    kind = models.CharField(max_length=20, choices=ServiceKind.choices, default=ServiceKind.WEB)
    status = models.CharField(
        max_length=20, choices=DeploymentStatus.choices, default=DeploymentStatus.PENDING
    )
    commit_sha = models.CharField(max_length=64)
    bundle_name = models.CharField(max_length=200, blank=True, help_text="The release in the shared storage.")
    bundle_sha256 = models.CharField(max_length=64, blank=True)
    setup_command = models.CharField(max_length=500, blank=True)
    run_command = models.CharField(max_length=500, blank=True)
    health_path = models.CharField(max_length=200, blank=True)
    data_directory = models.CharField(max_length=200, blank=True)
    environment = EncryptedTextField(default="{}", help_text="The service's variables as JSON, encrypted.")
    token_variable = models.CharField(
        max_length=100, blank=True, help_text="Which variable a bot logs in with."
    )
    # What was released, besides the commit.
    images = models.JSONField(default=dict, blank=True, help_text="Digests of the images.")
    environment_digest = models.CharField(max_length=64, blank=True, help_text="Keyed.")
    contract_version = models.CharField(max_length=64, blank=True, help_text="Digest of the manifest.")
    contract = models.JSONField(null=True, blank=True, help_text="The manifest it was released by.")
    rollback_of = models.UUIDField(
        null=True, blank=True, help_text="The earlier release that this one repeats."
    )
    url = models.CharField(max_length=500, blank=True, help_text="Set when it answered.")
    evidence = models.JSONField(null=True, blank=True, help_text="What the smoke test observed.")
    log_tail = models.TextField(blank=True)
    failure = models.JSONField(null=True, blank=True)
    installs = models.PositiveSmallIntegerField(default=0, help_text="How often the installation was begun.")
    starts = models.PositiveIntegerField(default=0, help_text="How often the service process was started.")
    deadline_at = models.DateTimeField(null=True, blank=True, help_text="Of the way to live.")
    observed_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(
        null=True, blank=True, help_text="Not looked at before: its server could not be reached."
    )
    probed_at = models.DateTimeField(null=True, blank=True, help_text="When its address was last asked.")
    failed_probes = models.PositiveSmallIntegerField(
        default=0, help_text="Times in a row that its address did not answer well."
    )
    removed_at = models.DateTimeField(null=True, blank=True, help_text="Its processes were seen to be gone.")
    created_at = models.DateTimeField(auto_now_add=True)
    installed_at = models.DateTimeField(null=True, blank=True)
    answered_at = models.DateTimeField(
        null=True, blank=True, help_text="When it answered at its own port; its project's leads to it since."
    )
    live_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            status_check(DeploymentStatus, name="deployment_status_known"),
            models.UniqueConstraint(
                fields=["project_id", "service_name"],
                condition=Q(status="live"),
                name="deployment_one_live_per_service",
            ),
            models.UniqueConstraint(
                fields=["project_id", "service_name"],
                condition=Q(status__in=["pending", "installing", "starting", "canceling"]),
                name="deployment_one_coming_per_service",
            ),
            models.CheckConstraint(
                condition=~Q(status="live") | ~Q(url="") | ~Q(kind="web"), name="deployment_live_has_url"
            ),
            models.CheckConstraint(
                condition=Q(target__in=DeploymentTarget.values), name="deployment_target_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project_slug}/{self.service_name} {self.commit_sha[:12]}"


class PortAllocation(models.Model):
    """A port of a server: of one release until its processes are proven gone, or of a project for good.

    A project keeps its own ports from release to release, since its users know them. On a server its release
    listens there; on this machine the entrance does, and leads to the release that is active.
    """

    server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="allocations")
    port = models.PositiveIntegerField()
    project_id = models.UUIDField()
    service_name = models.CharField(max_length=60)
    deployment = models.OneToOneField(
        ServiceDeployment, null=True, blank=True, on_delete=models.PROTECT, related_name="allocation"
    )
    owner_id = models.BigIntegerField(null=True, help_text="The person whose project it is.")
    role = models.CharField(max_length=40, blank=True, help_text="Of a project's port: what it is for.")
    allocated_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["server", "port"], name="port_once_per_server"),
            models.UniqueConstraint(
                fields=["server", "project_id", "role"],
                condition=Q(deployment=None),
                name="port_once_per_role",
            ),
            models.CheckConstraint(
                condition=Q(port__gte=1024) & Q(port__lte=65535), name="port_unprivileged"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.server_id}:{self.port}"
