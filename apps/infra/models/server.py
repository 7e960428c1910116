"""Servers, and the keys that they are logged in to with."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.encryption import EncryptedTextField
from apps.lifecycle import Lifecycle, status_check, transitions


class ServerKind(models.TextChoices):
    """How a server is reached."""

    LOCAL = "local", _("This machine")
    SSH = "ssh", _("A server reached by SSH")


class ServerProvider(models.TextChoices):
    """Whose word it is that a server exists."""

    LOCAL = "local", _("This machine")
    MANUAL = "manual", _("An operator")
    TIME4VPS = "time4vps", "Time4VPS"


class ServerStatus(models.TextChoices):
    """Where a server is in its life."""

    DISCOVERED = "discovered", _("Discovered")  # nothing happens to it until somebody asks for its set-up
    PENDING_SETUP = "pending_setup", _("Waiting for set-up")
    PROVISIONING = "provisioning", _("Provisioning")
    ACTIVE = "active", _("Active")
    UNREACHABLE = "unreachable", _("Unreachable")  # was active, and does not answer
    MAINTENANCE = "maintenance", _("Maintenance")  # a person has taken it out
    MISSING = "missing", _("Missing")  # its provider no longer lists it
    DECOMMISSIONED = "decommissioned", _("Decommissioned")


class ServerHealth(models.TextChoices):
    """What the last look at a server found; unknown is not well."""

    UNKNOWN = "unknown", _("Unknown")
    HEALTHY = "healthy", _("Healthy")
    DEGRADED = "degraded", _("Degraded")  # it answers, and something is wrong with it
    UNREACHABLE = "unreachable", _("Unreachable")


_S = ServerStatus
#: A set-up may be asked for in these.
MAY_BE_SET_UP = (
    *(_S.DISCOVERED, _S.PENDING_SETUP, _S.PROVISIONING),
    *(_S.ACTIVE, _S.UNREACHABLE, _S.MAINTENANCE),
)
#: A reinstallation may be asked for in these, and begin: nothing else is done to the server meanwhile.
MAY_BE_REINSTALLED = tuple(status for status in MAY_BE_SET_UP if status != _S.PROVISIONING)


class Server(Lifecycle):
    """A host that projects are deployed to."""

    TRANSITIONS: ClassVar = transitions(
        {
            _S.DISCOVERED: [_S.PENDING_SETUP, _S.MISSING, _S.DECOMMISSIONED],
            # Back to active or unreachable: nothing was done to it after all.
            _S.PENDING_SETUP: [
                *(_S.PROVISIONING, _S.DISCOVERED, _S.ACTIVE, _S.UNREACHABLE),
                *(_S.MAINTENANCE, _S.MISSING, _S.DECOMMISSIONED),
            ],
            # How a set-up ends: well; to be tried again or looked at; or its server is out of reach.
            _S.PROVISIONING: [_S.ACTIVE, _S.PENDING_SETUP, _S.UNREACHABLE, _S.MAINTENANCE, _S.MISSING],
            _S.ACTIVE: [_S.UNREACHABLE, _S.MAINTENANCE, _S.PENDING_SETUP, _S.MISSING, _S.DECOMMISSIONED],
            _S.UNREACHABLE: [_S.ACTIVE, _S.MAINTENANCE, _S.PENDING_SETUP, _S.MISSING, _S.DECOMMISSIONED],
            _S.MAINTENANCE: [_S.ACTIVE, _S.PENDING_SETUP, _S.MISSING, _S.DECOMMISSIONED],
            # Whether it is still set up nobody knows: it may have been installed anew meanwhile.
            _S.MISSING: [_S.DISCOVERED, _S.DECOMMISSIONED],
            _S.DECOMMISSIONED: [],
        }
    )

    name = models.CharField(max_length=60, unique=True)
    kind = models.CharField(max_length=20, choices=ServerKind.choices)
    host = models.CharField(max_length=255)
    status = models.CharField(max_length=20, choices=ServerStatus.choices, default=ServerStatus.DISCOVERED)
    port_range_start = models.PositiveIntegerField()
    port_range_end = models.PositiveIntegerField()
    # Only of kind ssh.
    ssh_port = models.PositiveIntegerField(default=22)
    ssh_user = models.CharField(max_length=60, blank=True, help_text="Whom a deployment logs in as.")
    admin_user = models.CharField(max_length=60, default="root", help_text="Whom a set-up logs in as.")
    admin_password = EncryptedTextField(
        blank=True, help_text="For the first login only; removed once our own key lets us in."
    )
    host_key = models.TextField(
        blank=True,
        help_text="Its public host key, as in a known_hosts file: type and key. Empty: "
        "the first one that is shown is kept.",
    )
    # What its provider says of it.
    provider = models.CharField(max_length=20, choices=ServerProvider.choices, default=ServerProvider.MANUAL)
    provider_id = models.CharField(
        max_length=60, blank=True, help_text="The provider's own number of it; never changes."
    )
    provider_name = models.CharField(
        max_length=100, blank=True, help_text="What the provider's listing calls it."
    )
    cpus = models.PositiveIntegerField(null=True, blank=True)
    memory_mb = models.PositiveIntegerField(null=True, blank=True)
    disk_mb = models.PositiveIntegerField(null=True, blank=True)
    missed_listings = models.PositiveSmallIntegerField(
        default=0, help_text="Successful listings in a row that did not name it."
    )
    details_tried_at = models.DateTimeField(
        null=True, blank=True, help_text="When its provider was last asked for its size."
    )
    last_seen_at = models.DateTimeField(null=True, blank=True, help_text="When a listing last named it.")
    # What we saw of it.
    system = models.CharField(max_length=60, blank=True, help_text="Its operating system, as it says.")
    provisioned_at = models.DateTimeField(null=True, blank=True, help_text="When a set-up last succeeded.")
    health = models.CharField(max_length=20, choices=ServerHealth.choices, default=ServerHealth.UNKNOWN)
    checked_at = models.DateTimeField(null=True, blank=True)
    failed_checks = models.PositiveSmallIntegerField(
        default=0, help_text="Looks in a row that did not reach it."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            status_check(ServerStatus, name="server_status_known"),
            models.CheckConstraint(
                condition=Q(port_range_start__gte=1024)
                & Q(port_range_end__lte=65535)
                & Q(port_range_start__lte=models.F("port_range_end")),
                name="server_port_range_valid",
            ),
            models.UniqueConstraint(
                fields=["provider", "provider_id"],
                condition=~Q(provider_id=""),
                name="server_once_per_provider_id",
            ),
            models.CheckConstraint(condition=Q(health__in=ServerHealth.values), name="server_health_known"),
        ]

    def __str__(self) -> str:
        return self.name


class IdentityPurpose(models.TextChoices):
    """Who logs in with a key."""

    ADMIN = "admin", _("Set-up and checks")
    DEPLOY = "deploy", _("Deployments")


class IdentityStatus(models.TextChoices):
    """Whether a key lets anybody in."""

    CANDIDATE = "candidate", _("Candidate")  # stored before the server was told of it
    INSTALLED = "installed", _("Installed")  # the server lets it in
    RETIRED = "retired", _("Retired")  # replaced by a newer one; kept, since losing the newer is worse


class SshIdentity(Lifecycle):
    """A key pair of ours for one server."""

    TRANSITIONS: ClassVar = transitions(
        {
            IdentityStatus.CANDIDATE: [IdentityStatus.INSTALLED, IdentityStatus.RETIRED],
            IdentityStatus.INSTALLED: [IdentityStatus.RETIRED],
            IdentityStatus.RETIRED: [],
        }
    )

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="identities")
    purpose = models.CharField(max_length=20, choices=IdentityPurpose.choices)
    status = models.CharField(max_length=20, choices=IdentityStatus.choices, default=IdentityStatus.CANDIDATE)
    private_key = EncryptedTextField()
    public_key = models.TextField(blank=True, help_text="As in an authorized_keys file.")
    fingerprint = models.CharField(max_length=80, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "SSH identities"
        constraints: ClassVar = [
            status_check(IdentityStatus, name="identity_status_known"),
            models.CheckConstraint(
                condition=Q(purpose__in=IdentityPurpose.values), name="identity_purpose_known"
            ),
            models.UniqueConstraint(
                fields=["server", "purpose"], condition=Q(status="installed"), name="identity_one_installed"
            ),
            models.UniqueConstraint(
                fields=["server", "purpose"], condition=Q(status="candidate"), name="identity_one_candidate"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {self.fingerprint}"
