"""The documents of a project as of one commit."""

from typing import ClassVar

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.projects.models import Project

#: PostgreSQL's configuration for Russian stems words of Latin letters as English.
SEARCH_CONFIG = "russian"


class DocumentIndex(models.Model):
    """How far the documents of a project were read."""

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="document_index")
    commit_sha = models.CharField(max_length=64, blank=True, help_text="The commit that was read.")
    wanted_sha = models.CharField(max_length=64, blank=True, help_text="The commit that was to be read last.")
    documents = models.PositiveIntegerField(default=0)
    left_out = models.PositiveIntegerField(default=0, help_text="Too large, too many, or not text.")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="At the wanted commit.")
    problem = models.CharField(max_length=300, blank=True, help_text="Why it could not be read.")
    read_at = models.DateTimeField(null=True, blank=True)
    looked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.project_id} {self.commit_sha[:12]}"


class SummaryKind(models.TextChoices):
    """Who wrote a summary."""

    EXTRACTIVE = "extractive", _("The document's own words")
    MODEL = "model", _("A language model")


class Document(models.Model):
    """One text file of a project's default branch."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="documents")
    path = models.CharField(max_length=500)
    blob_sha = models.CharField(max_length=64, help_text="Of its content; equal for equal texts.")
    title = models.CharField(max_length=200)
    text = models.TextField()
    summary = models.TextField(blank=True)
    summary_kind = models.CharField(
        max_length=20, choices=SummaryKind.choices, default=SummaryKind.EXTRACTIVE
    )
    summary_model = models.CharField(max_length=100, blank=True)
    summary_attempts = models.PositiveSmallIntegerField(
        default=0, help_text="How often a model was asked for this content."
    )
    summary_asked_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    search = models.GeneratedField(
        expression=SearchVector("title", weight="A", config=SEARCH_CONFIG)
        + SearchVector("text", weight="B", config=SEARCH_CONFIG),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "path"], name="document_once_per_path"),
            models.CheckConstraint(
                condition=models.Q(summary_kind__in=SummaryKind.values), name="document_summary_kind_known"
            ),
        ]
        indexes: ClassVar = [GinIndex(fields=["search"], name="document_search")]

    def __str__(self) -> str:
        return self.path
