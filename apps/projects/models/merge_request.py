"""A proposed change: a bundle of commits that wants to become part of the default branch."""

import uuid
from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.lifecycle import Lifecycle, status_check, transitions
from apps.projects.models.project import Project
from apps.projects.models.task import Task


class MergeRequestStatus(models.TextChoices):
    """Where a proposed change is in its life."""

    PENDING = "pending", _("Being inspected")
    OPEN = "open", _("Open")  # the bundle was found sound; ready to be verified
    PROPOSED = "proposed", _("Proposed")  # verified; the git host's own checks of its pull request decide
    MERGING = "merging", _("Merging")  # verified; on its way into the default branch
    MERGED = "merged", _("Merged")  # read back from the forge
    REFUSED = "refused", _("Refused")  # the change itself is not acceptable
    CRASHED = "crashed", _("Crashed")  # the platform broke
    CANCELED = "canceled", _("Canceled")


class MergeRequest(Lifecycle):
    """One change proposed for one task.

    The branch name and the merge commit's trailer derive from ``id``, so a
    second attempt at any step finds what the first one left.
    """

    TRANSITIONS: ClassVar = transitions(
        {
            MergeRequestStatus.PENDING: [
                MergeRequestStatus.OPEN,
                MergeRequestStatus.REFUSED,
                MergeRequestStatus.CRASHED,
                MergeRequestStatus.CANCELED,
            ],
            # A git host without pull requests of its own: straight to the merge.
            MergeRequestStatus.OPEN: [
                MergeRequestStatus.PROPOSED,
                MergeRequestStatus.MERGING,
                MergeRequestStatus.CANCELED,
            ],
            MergeRequestStatus.PROPOSED: [
                MergeRequestStatus.MERGING,
                MergeRequestStatus.MERGED,  # by a person, and it is what was verified
                MergeRequestStatus.REFUSED,
                MergeRequestStatus.CRASHED,
                MergeRequestStatus.CANCELED,
            ],
            # A merge under way is not canceled: it may already be in the branch.
            MergeRequestStatus.MERGING: [
                MergeRequestStatus.MERGED,
                MergeRequestStatus.REFUSED,
                MergeRequestStatus.CRASHED,
            ],
            MergeRequestStatus.MERGED: [],
            MergeRequestStatus.REFUSED: [],
            MergeRequestStatus.CRASHED: [],
            MergeRequestStatus.CANCELED: [],
        }
    )

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    idempotency_key = models.CharField(max_length=120, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="merge_requests")
    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="merge_requests")
    status = models.CharField(
        max_length=20, choices=MergeRequestStatus.choices, default=MergeRequestStatus.PENDING
    )
    title = models.CharField(max_length=200)
    branch = models.CharField(max_length=120)
    base_sha = models.CharField(max_length=64)
    head_sha = models.CharField(max_length=64)
    merge_sha = models.CharField(max_length=64, blank=True)
    bundle_name = models.CharField(max_length=200, help_text="The worker's bundle in the shared storage.")
    bundle_sha256 = models.CharField(max_length=64)
    checkout_name = models.CharField(
        max_length=200, blank=True, help_text="Our own bundle of the head, for the verification."
    )
    checkout_sha256 = models.CharField(max_length=64, blank=True)
    report = models.JSONField(null=True, blank=True)
    rebase_of = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="rebases",
        help_text="The worker's change whose commits this one replays onto a newer base.",
    )
    # Only on a git host with pull requests of its own.
    evidence = models.JSONField(null=True, blank=True, help_text="What our own verification found.")
    pull_request = models.PositiveIntegerField(null=True, blank=True)
    pull_request_url = models.CharField(max_length=500, blank=True)
    proposed_at = models.DateTimeField(
        null=True, blank=True, help_text="When the pull request was there with this commit."
    )
    checks = models.JSONField(null=True, blank=True, help_text="What the host's checks said last.")
    fingerprint = models.CharField(
        max_length=64, blank=True, help_text="Of the failed checks: equal for equal reasons."
    )
    reruns = models.PositiveSmallIntegerField(default=0)
    rerun_at = models.DateTimeField(null=True, blank=True)
    poll_at = models.DateTimeField(null=True, blank=True, help_text="Not looked at before.")
    tidy_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when its pull request and branch are of no more use."
    )
    tidied_at = models.DateTimeField(null=True, blank=True)
    failure = models.JSONField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    deadline_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    merged_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [status_check(MergeRequestStatus, name="merge_request_status_known")]
        indexes: ClassVar = [
            models.Index(
                fields=["tidy_at"],
                name="merge_request_untidied",
                condition=models.Q(tidy_at__isnull=False, tidied_at=None),
            )
        ]

    def __str__(self) -> str:
        return f"{self.branch} {self.head_sha[:12]}"
