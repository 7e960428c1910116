"""The Celery tasks of this app: thin, by id, repeatable."""

import logging
from uuid import UUID

from celery import shared_task
from django.utils import timezone

from apps.documents import composition, indexing, summarising
from apps.enqueue import advisory_lock, enqueue
from apps.projects import composition as projects
from apps.projects import selectors

logger = logging.getLogger(__name__)

#: Summaries asked for in one sweep; a model answers in seconds and costs money.
_ROUND = 50


@shared_task(name="documents.read_project")
def read_project(*, project_id: str) -> None:
    """Read the documents of a project whose head has moved, unless somebody else is at it."""
    with advisory_lock("documents", project_id) as obtained:
        forge = selectors.forge_of(project_id=UUID(project_id))
        if obtained and forge is not None:
            indexing.read_project(project_id=UUID(project_id), tools=projects.get_tools(forge))


@shared_task(name="documents.summarise_document")
def summarise_document(*, document_id: int) -> None:
    """Ask the configured language model about a document."""
    model = composition.get_summariser()
    if model is not None:
        summarising.summarise_document(document_id=document_id, model=model, now=timezone.now())


@shared_task(name="periodic.summarize_documents")
def summarize_documents() -> None:
    """Enqueue every project whose documents are not those of its head, and what a model has to summarise."""
    now = timezone.now()
    for project_id in indexing.projects_to_read(now=now).order_by("pk").values_list("pk", flat=True):
        enqueue(read_project, project_id=str(project_id))
    if composition.get_summariser() is not None:
        waiting = summarising.documents_to_summarise(now=now).order_by("pk").values_list("pk", flat=True)
        for document_id in waiting[:_ROUND]:
            enqueue(summarise_document, document_id=document_id)
