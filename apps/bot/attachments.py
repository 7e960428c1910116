"""Files that people send: taken from Telegram once, and kept for their Product Owner."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from apps import storage
from apps.bot.incoming import MAX_FILE_BYTES, File
from apps.bot.models import ChatFile, ChatMessage, FileStatus
from apps.bot.telegram import Refused, TelegramError
from apps.errors import Unavailable
from apps.workers import attachments

logger = logging.getLogger(__name__)

MAX_ATTEMPTS: Final = 5
TOO_LARGE: Final = "file_too_big"  # as the adapter calls it


class Downloads(Protocol):
    """Where files come from."""

    def fetch_file(self, file_id: str, *, max_bytes: int) -> bytes:
        """Return the content of a file.

        Raises:
            Refused: it is too large, or not there any more.
            TelegramError: it could not be asked for.

        """
        ...


def note(message: ChatMessage, files: Sequence[File]) -> list[ChatFile]:
    """Write down the files of a message; returns those that nobody can get."""
    refused = []
    for file in files:
        row = ChatFile.objects.create(
            message=message,
            kind=file.kind,
            file_id=file.file_id,
            file_name=file.name,
            mime_type=file.mime_type,
            size_bytes=file.size,
        )
        if file.is_too_large:
            ChatFile.transition(row.pk, to=FileStatus.REFUSED, reason=TOO_LARGE)
            refused.append(row)
    return refused


def fetch(row: ChatFile, downloads: Downloads) -> bool:
    """Take one file over; returns whether it is settled, for better or worse.

    The counter is raised before the attempt, and the content has its digest for
    a name: a repetition after a crash finds what is there.
    """
    ChatFile.objects.filter(pk=row.pk).update(attempts=row.attempts + 1)
    try:
        content = downloads.fetch_file(row.file_id, max_bytes=MAX_FILE_BYTES)
        attachment_id = _keep(row, content)
    except (Refused, attachments.AttachmentTooLarge) as error:
        return _refuse(row, error.error_code)
    except (TelegramError, Unavailable) as error:
        logger.warning("File %s could not be taken over: %s", row.pk, error.error_code)
        return row.attempts + 1 >= MAX_ATTEMPTS and _refuse(row, error.error_code)
    return ChatFile.try_transition(
        row.pk, to=FileStatus.STORED, size_bytes=len(content), attachment_id=attachment_id
    )


def _keep(row: ChatFile, content: bytes) -> object:
    with storage.file_errors(), tempfile.TemporaryDirectory(prefix="attachment-") as directory:
        path = Path(directory) / "content"
        path.write_bytes(content)
        return attachments.keep(
            path,
            owner_id=row.message.user_id,
            file_name=row.file_name or row.kind,
            mime_type=row.mime_type,
        )


def _refuse(row: ChatFile, reason: str) -> bool:
    return ChatFile.try_transition(row.pk, to=FileStatus.REFUSED, reason=reason[:60])
