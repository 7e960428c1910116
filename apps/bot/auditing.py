"""Which deeds in the chat are written down for operators: those that change what is not one's own alone."""

from collections.abc import Mapping
from typing import Final

from django.contrib.admin.models import ADDITION
from django.db.models import Model
from django.utils import translation

from apps import audit
from apps.bot.models import Action, Callback, Chat
from apps.bot.talk import Talk
from apps.infra.models import Server
from apps.projects.models import Invitation, Project, Task, User
from apps.workers.models import Turn, Worker

#: What a tap did → to what; the other taps show something, or lead to a dialog.
DEEDS: Final[Mapping[str, type[Model]]] = {
    Action.APPROVE: Chat,
    Action.DENY: Chat,
    Action.STOP: Task,
    Action.RETRY: Task,
    Action.ROLLBACK: Project,
    Action.STOP_ASSISTANT: Turn,
    Action.KILL: Worker,
    Action.PROVISION: Server,
}


def note_tap(talk: Talk, row: Callback) -> None:
    """Write down what a tap has done, if it is of that kind."""
    model = DEEDS.get(row.action)
    if model is None:
        return
    with translation.override("en"):
        said = str(Action(row.action).label)
    role = f", as {row.argument}" if row.action == Action.APPROVE else ""
    audit.note(person_id=talk.person.pk, said=f"Chat: {said}{role}", model=model, row_id=row.subject)


def note_secret(talk: Talk, *, project: Project, key: str) -> None:
    """Write down that a secret was given; its value is nowhere."""
    audit.note(
        person_id=talk.person.pk, said=f"Chat: Give the secret {key}", model=Project, row_id=project.pk
    )


def note_invitation(talk: Talk, invitation: Invitation) -> None:
    """Write down that somebody may come in."""
    said = f"Chat: Invite, as {invitation.role}"
    audit.note(person_id=talk.person.pk, said=said, model=Invitation, row_id=invitation.pk, flag=ADDITION)


def note_arrival(person: User) -> None:
    """Write down by whose invitation a person came in, and as what."""
    used = Invitation.objects.filter(used_by=person).select_related("created_by").order_by("-used_at").first()
    if used is None:
        return
    # An invitation that was made at a terminal is nobody's until somebody uses it.
    whose = used.created_by.username if used.created_by else "the command line"
    said = f"Chat: Come in by invitation {used.prefix}… of {whose}, as {person.role}"
    audit.note(person_id=person.pk, said=said, model=User, row_id=person.pk)
