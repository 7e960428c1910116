"""Reads a project's documents at its head, as often as the head moves and no oftener."""

import logging
import re
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet

from apps.documents import excerpts
from apps.documents.models import Document, DocumentIndex, SummaryKind
from apps.errors import OrchestratorError
from apps.projects import selectors
from apps.projects.models import Project, ProjectStatus
from apps.projects.repository_files import FileLimits, Reading, TextFile, read_texts
from apps.projects.tools import Tools
from worker_image.masking import mask, needles

logger = logging.getLogger(__name__)

LIMITS: Final = FileLimits(files=200, file_bytes=200_000, total_bytes=4 * 1_048_576)
#: A head that cannot be read so often is left alone until the next one.
MAX_ATTEMPTS: Final = 10
_PAUSE: Final = timedelta(seconds=60)
_PATH: Final = re.compile(
    r"(?i)(?:.*/)?(?:[^/]+\.(?:md|markdown|rst|adoc)|(?:readme|changelog|contributing|authors|license)[^/]*"
    r"|docs?/.+\.txt)"
)
_FOREIGN: Final = re.compile(r"(?:.*/)?(?:node_modules|vendor|\.venv|dist|build|\.git)/")


def is_document(path: str) -> bool:
    """Tell by its path whether a file of a repository is written for readers."""
    return len(path) <= 500 and bool(_PATH.fullmatch(path)) and not _FOREIGN.match(path)


def projects_to_read(*, now: datetime) -> QuerySet[Project]:
    """Return the projects whose head was not read yet and may be tried at a moment."""
    known = Q(document_index__wanted_sha=F("head_sha"))
    read = Q(document_index__commit_sha=F("head_sha"))
    given_up = known & Q(document_index__attempts__gte=MAX_ATTEMPTS)
    just_tried = known & Q(document_index__looked_at__gt=now - _PAUSE)
    active = Project.objects.filter(status=ProjectStatus.ACTIVE).exclude(head_sha="")
    # ``exclude`` of a condition on a row that may be missing would ask once more for each project.
    return active.filter(Q(document_index=None) | ~(read | given_up | just_tried))


def read_project(*, project_id: UUID, tools: Tools) -> bool:
    """Read a project's documents at its head, unless that was done; the caller holds the project's lock.

    Returns:
        Whether they are new.

    """
    project = projects_to_read(now=tools.now()).filter(pk=project_id).first()
    if project is None:
        return False
    index, _ = DocumentIndex.objects.get_or_create(project=project)
    attempts = index.attempts + 1 if index.wanted_sha == project.head_sha else 1
    rows = DocumentIndex.objects.filter(pk=index.pk)
    # Counted before it is done: a reading whose process dies is one of the attempts.
    rows.update(wanted_sha=project.head_sha, attempts=attempts, looked_at=tools.now())
    try:
        reading = read_texts(project, sha=project.head_sha, wanted=is_document, limits=LIMITS, tools=tools)
    except OrchestratorError as error:
        logger.warning("Documents of project %s: %s", project.pk, error.message)
        rows.update(problem=error.message[:300])
        return False
    with transaction.atomic():
        _write(project, reading)
        rows.update(
            commit_sha=project.head_sha,
            documents=len(reading.files),
            left_out=reading.left_out,
            problem="",
            read_at=tools.now(),
        )
    return True


def _write(project: Project, reading: Reading) -> None:
    known = dict(Document.objects.filter(project=project).values_list("path", "blob_sha"))
    read = {file.path: file for file in reading.files}
    Document.objects.filter(project=project, path__in=known.keys() - read.keys()).delete()
    secrets = selectors.known_secrets(project_id=project.pk).values()
    values = needles(secret.value for secret in secrets if secret.value)
    for path, file in read.items():
        if known.get(path) != file.blob_sha:
            Document.objects.update_or_create(project=project, path=path, defaults=_columns(file, values))


def _columns(file: TextFile, secrets: tuple[str, ...]) -> dict[str, object]:
    # The inspection of changes refuses a secret; what a person pushed by hand it never saw.
    text = mask(file.text, secrets)
    return {
        "blob_sha": file.blob_sha,
        "title": excerpts.title_of(text, path=file.path),
        "text": text,
        "summary": excerpts.summarise(text),
        "summary_kind": SummaryKind.EXTRACTIVE,
        "summary_model": "",
        "summary_attempts": 0,
        "summary_asked_at": None,
    }
