"""Has a language model summarise what is long, where one is configured."""

import logging
from datetime import datetime, timedelta
from typing import Final

from django.db.models import F, QuerySet
from django.db.models.functions import Length

from apps.documents.language_models import Summariser
from apps.documents.models import Document, SummaryKind
from apps.errors import OrchestratorError

logger = logging.getLogger(__name__)

#: Shorter documents say it themselves.
MIN_CHARACTERS: Final = 2_000
#: Each attempt costs money.
MAX_ATTEMPTS: Final = 3
_PAUSE: Final = timedelta(minutes=5)


def documents_to_summarise(*, now: datetime) -> QuerySet[Document]:
    """Return the documents that a model has not summarised yet and may be asked about at a moment."""
    long = Document.objects.annotate(length=Length("text")).filter(length__gte=MIN_CHARACTERS)
    waiting = long.filter(summary_kind=SummaryKind.EXTRACTIVE, summary_attempts__lt=MAX_ATTEMPTS)
    return waiting.exclude(summary_asked_at__gt=now - _PAUSE)


def summarise_document(*, document_id: int, model: Summariser, now: datetime) -> bool:
    """Ask a model about a document; the document's own words stay when it does not answer.

    Returns:
        Whether the document has the model's summary now.

    """
    document = documents_to_summarise(now=now).filter(pk=document_id).first()
    if document is None:
        return False
    same = Document.objects.filter(pk=document_id, blob_sha=document.blob_sha)
    # Counted before it is asked: an attempt whose process dies has cost money, too.
    asked = same.filter(summary_attempts=document.summary_attempts)
    if not asked.update(summary_attempts=F("summary_attempts") + 1, summary_asked_at=now):
        return False
    try:
        summary = model.summarise(document.text)
    except OrchestratorError as error:
        logger.warning("Summary of document %s: %s %s", document_id, error.message, error.details)
        return False
    written = same.update(summary=summary, summary_kind=SummaryKind.MODEL, summary_model=model.name[:100])
    return bool(written)
