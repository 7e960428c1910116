"""Who did what: lines in the log that the admin writes, and so in the rows' own histories."""

from typing import Final

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

_MAX_CHARACTERS: Final = 200


def note(
    *, person_id: int, said: str, model: type[Model] | None, row_id: object = "", flag: int = CHANGE
) -> None:
    """Write down what a person did, in the transaction of the deed.

    Args:
        person_id: who did it.
        said: what, and by which way; no secret, and nothing that people wrote.
        model: of the row that it was done to; None: to none.
        row_id: its key.
        flag: Django's word for it: ADDITION, CHANGE or DELETION.

    """
    title = f"{model._meta.verbose_name} {row_id}" if model is not None else said
    LogEntry.objects.create(
        user_id=person_id,
        content_type=ContentType.objects.get_for_model(model) if model is not None else None,
        object_id=str(row_id) or None,
        object_repr=title[:_MAX_CHARACTERS],
        action_flag=flag,
        change_message=said[:_MAX_CHARACTERS],
    )
