"""Takes what must not reach the assistant: secrets, and answers to questions that were opened by a tap.

A secret goes from the message straight into the project's secrets; it is in no
row of this app, in no log, and the message is deleted.
"""

import re
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.bot import auditing, callbacks, outbox, pool, questions, reach, secret_lists
from apps.bot import presenters as words
from apps.bot.incoming import may_go_on
from apps.bot.models import Action, Chat, Dialog, DialogKind
from apps.bot.secret_shapes import is_complete, is_whole, looks_secret
from apps.bot.talk import Talk
from apps.errors import Conflict, Invalid, OrchestratorError
from apps.graph import services as graph
from apps.projects import services as projects
from apps.projects.models import Project
from apps.telegram import BotResult

TTL: Final = timedelta(minutes=10)
#: For so long a value that comes too late is still taken for one, and not read by anybody.
_LATE: Final = timedelta(hours=1)
#: The parts of a text that Telegram cut come at once, and may be handled late.
_REST: Final = timedelta(seconds=30)
_KEY = re.compile(r"[A-Z][A-Z0-9_]{0,99}")


class TokenRefused(Invalid):
    """Telegram does not know this bot."""

    code = "token_refused"


class PoolEmpty(Conflict):
    """No bot of the pool is free."""

    code = "pool_empty"


def find_open(chat: Chat) -> Dialog | None:
    """Return what the next message of a chat is expected to be, if anything."""
    dialog = Dialog.objects.select_related("project", "user").filter(chat=chat).first()
    if dialog is None or dialog.expires_at + _LATE <= timezone.now():
        return None
    return dialog if dialog.kind == DialogKind.SECRET or dialog.expires_at > timezone.now() else None


def find_replied(talk: Talk) -> Dialog | None:
    """Return what a reply to the message of a question is: its answer, as if its button had been tapped."""
    question = questions.find_replied(talk.chat, talk.incoming.reply_to)
    if question is None or (question.options and talk.incoming.text not in question.options):
        return None
    question = reach.question_to_answer(talk.person, question.pk)
    kind = DialogKind.SECRET if question.secret_key else DialogKind.ANSWER
    project = questions.project_of(question)
    return _open(talk, kind, project=project, key=question.secret_key, question_id=question.pk)


def close(chat: Chat) -> bool:
    """Expect nothing any more; returns whether something was expected."""
    return bool(Dialog.objects.filter(chat=chat).delete()[0])


def leave(chat: Chat) -> None:
    """Expect no answer any more; a value is expected until it comes, or the person says that it will not."""
    Dialog.objects.filter(chat=chat).exclude(kind=DialogKind.SECRET).delete()


def remind(talk: Talk, dialog: Dialog) -> None:
    """Say after a command that the next message is still taken for the value, if it is."""
    same = Dialog.objects.filter(pk=dialog.pk, expires_at=dialog.expires_at, expires_at__gt=timezone.now())
    if dialog.project is None or not same.exists():
        return
    names = {"key": words.code(dialog.key), "project": words.bold(dialog.project.name)}
    text = _("I still expect the value of %(key)s for %(project)s as your next message.") % names
    talk.say(text, part="reminder", buttons=[[_cancel_button(talk)]])


def is_name(word: str) -> bool:
    """Tell whether a word is written like the name of a secret."""
    return _KEY.fullmatch(word) is not None


def ask_secret(talk: Talk, *, project: Project, key: str, question_id: UUID | None = None) -> None:
    """Take the next message for the value of a secret.

    Raises:
        Invalid: there cannot be a secret of that name.

    """
    if may_go_on(talk.incoming.text) and not is_whole(talk.incoming.text, talk.incoming.argument):
        _refuse_long(talk)  # the value came along with the command
        return
    if not is_name(key):
        # It may be a value that came instead of the name, so it is not repeated.
        raise Invalid(_("A secret's name is written like API_KEY."))
    _open(talk, DialogKind.SECRET, project=project, key=key, question_id=question_id)
    names = {"key": words.code(key), "project": words.bold(project.name)}
    text = _(
        "Send me the value of %(key)s for %(project)s as your next message, within 10 minutes."
        " I take it out of this chat at once; neither an agent nor a log sees it."
    )
    talk.say(text % names, part="dialog", buttons=[[_cancel_button(talk)]])


def ask_answer(talk: Talk, *, question_id: UUID) -> None:
    """Take the next message for the answer to a question."""
    question = reach.question_to_answer(talk.person, question_id)
    _open(talk, DialogKind.ANSWER, question_id=question.pk)
    talk.say(_("Write your answer as your next message."), part="dialog", buttons=[[_cancel_button(talk)]])


def begin(talk: Talk, *, subject: str, argument: str) -> None:
    """Open the dialog that a button stands for: ``question:ID`` or ``project:ID`` with a name."""
    project, key, question_id = _meant(talk, subject, argument)
    ask_secret(talk, project=project, key=key, question_id=question_id)


def take(talk: Talk, dialog: Dialog) -> None:
    """Take a message for what the dialog expects."""
    match dialog.kind:
        case DialogKind.SECRET:
            _take_value(talk, dialog)
        case DialogKind.REST:
            _drop_rest(talk)
        case _:
            _take_answer(talk, dialog)


def _take_answer(talk: Talk, dialog: Dialog) -> None:
    text = talk.incoming.text
    close(talk.chat)
    if looks_secret(text):
        catch_stray(talk)
    elif dialog.question_id is not None:
        questions.answer(talk, question_id=dialog.question_id, text=text)
        outbox.show_typing(talk.chat)


def _take_value(talk: Talk, dialog: Dialog) -> None:
    text = talk.incoming.text
    talk.forget_message()
    if may_go_on(text) and not is_complete(text):
        _refuse_long(talk)
    elif dialog.expires_at <= timezone.now() or dialog.project is None:
        close(talk.chat)
        talk.say(_("That came too late, so I did not keep it. Begin again with /secret."))
    elif talk.incoming.files or not text.strip():
        talk.say(_("Send the value as text, please."), buttons=[[_cancel_button(talk)]])
    else:
        _keep(talk, dialog, dialog.project)


def _refuse_long(talk: Talk) -> None:
    """Keep nothing of a value of which more may follow, and see that nobody reads what follows."""
    _open(talk, DialogKind.REST, lasts=_REST)
    told = _(
        "This is too long for a message: Telegram cuts such texts, so I deleted it and kept nothing."
        " Give it in the admin, or with %(command)s."
    )
    talk.say(told % {"command": words.code("orchestrator project secret")})


def _drop_rest(talk: Talk) -> None:
    talk.forget_message()
    if may_go_on(talk.incoming.text):
        _open(talk, DialogKind.REST, lasts=_REST)
    else:
        talk.say(_("I deleted this, too: it came right behind what was too long. Soon I read again."))


def _keep(talk: Talk, dialog: Dialog, project: Project) -> None:
    value = talk.incoming.text
    try:
        # A refusal undoes its own writes only: the message is deleted all the same.
        with transaction.atomic():
            bot = _checked(talk, value.strip())
            _store(talk, project, dialog.key, value, question_id=dialog.question_id)
    except OrchestratorError as error:
        again = _("Send another value, or stop here.")
        talk.say(f"{words.refusal(error)}\n{again}", buttons=[[_cancel_button(talk)]])
        return
    close(talk.chat)
    talk.say(_stored(project, dialog.key, bot))


def _checked(talk: Talk, value: str) -> BotResult | None:
    """Refuse the token of a bot that Telegram does not know; silence is no refusal."""
    if projects.is_own_bot(value):
        raise TokenRefused(_("That is my own token; give me the one of the project's bot."))
    bot = talk.bots.get(value)
    if bot is not None and bot.is_refused:
        raise TokenRefused(_("Telegram does not know a bot with this token. Copy it from @BotFather again."))
    return bot


def _store(talk: Talk, project: Project, key: str, value: str, *, question_id: UUID | None) -> None:
    auditing.note_secret(talk, project=project, key=key)
    if question_id is not None:
        questions.answer(talk, question_id=question_id, text=value)
        return
    reach.project_to_change(talk.person, project.pk)
    projects.set_secret(project_id=project.pk, key=key, value=value)


def _stored(project: Project, key: str, bot: BotResult | None) -> str:
    kept = _("%(key)s of %(project)s is stored.") % {
        "key": words.code(key),
        "project": words.bold(project.name),
    }
    if bot is None:
        return kept
    if bot.is_healthy:
        return f"{kept} " + _("The bot is @%(bot)s.") % {"bot": words.name(bot.username)}
    return f"{kept} " + _("Telegram could not be asked about it now; the deployment will.")


def catch_stray(talk: Talk) -> None:
    """Delete a message that holds a secret and was meant for nobody in particular."""
    talk.forget_message()
    told = _(
        "Your message looked like it holds a secret, so I deleted it and showed it to nobody."
        " Choose where it belongs, then send it again."
    )
    if may_go_on(talk.incoming.text) and not is_whole(talk.incoming.text, talk.incoming.argument):
        _open(talk, DialogKind.REST, lasts=_REST)
    talk.say(told, buttons=secret_lists.project_buttons(talk))


def take_from_pool(talk: Talk, *, subject: str, argument: str) -> str:
    """Give a project a bot of the pool; nobody sees its token.

    Raises:
        PoolEmpty: none is free, or those that are do not answer.

    """
    project, key, question_id = _meant(talk, subject, argument)
    for token in pool.free_tokens():
        bot = talk.bots.get(token)
        if bot is None or bot.is_refused:
            continue
        try:
            with transaction.atomic():
                pool.release(token)
                _store(talk, project, key, token, question_id=question_id)
        except projects.BotTokenTaken:
            continue  # another project was faster
        talk.say(_stored(project, key, bot), part="pool")
        return ""
    raise PoolEmpty(_("No bot of the pool is free. Make one with @BotFather and give me its token."))


def _meant(talk: Talk, subject: str, argument: str) -> tuple[Project, str, UUID | None]:
    kind, _sep, row_id = subject.partition(":")
    if kind == "project":
        return reach.project_to_change(talk.person, row_id), argument, None
    question = reach.question_to_answer(talk.person, row_id)
    project = questions.project_of(question)
    if question.status != "open" or project is None:
        raise graph.AlreadyAnswered()
    return project, question.secret_key, question.pk


def _open(
    talk: Talk,
    kind: DialogKind,
    *,
    project: Project | None = None,
    key: str = "",
    question_id: UUID | None = None,
    lasts: timedelta = TTL,
) -> Dialog:
    expected = {
        "kind": kind,
        "user": talk.person,
        "project": project,
        "key": key,
        "question_id": question_id,
        "expires_at": timezone.now() + lasts,
    }
    return Dialog.objects.update_or_create(chat=talk.chat, defaults=expected)[0]


def _cancel_button(talk: Talk) -> outbox.Button:
    return callbacks.button(
        _("Not now"),
        chat=talk.chat,
        user=talk.user,
        action=Action.CANCEL_DIALOG,
        key=talk.key("cancel"),
        is_reusable=True,
    )
