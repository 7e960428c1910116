"""Questions of runs and of Product Owners as messages with buttons, and the answers to them."""

from typing import Final
from uuid import UUID

from django.utils import timezone, translation
from django.utils.translation import gettext as _

from apps.bot import callbacks, outbox, pool, reach
from apps.bot import presenters as words
from apps.bot.models import Action, Chat, Delivery
from apps.bot.talk import Talk
from apps.graph import services as graph
from apps.graph.models import Question, QuestionStatus
from apps.projects.models import Project, User

_SHOWN_OPTION_CHARACTERS: Final = 60


def show(question_id: UUID) -> None:
    """Show a question where it can be answered, or, once it is closed, what became of it."""
    question = Question.objects.select_related("run__task__project").filter(pk=question_id).first()
    if question is None:
        return
    for chat in chats_of(question):
        key = key_of(question, chat)
        # What was answered before anybody was asked here is no news.
        if question.status != QuestionStatus.OPEN and not _is_shown(key):
            continue
        with translation.override(chat.language):
            buttons = _buttons(question, chat) if question.status == QuestionStatus.OPEN else ()
            outbox.show_card(chat, _text(question, chat.language), key=key, buttons=buttons)


def key_of(question: Question, chat: Chat) -> str:
    """Return the key of the message that shows a question in a chat."""
    return f"question:{question.pk}:{chat.pk}"


def answer(talk: Talk, *, question_id: UUID | str, text: str) -> None:
    """Answer a question in somebody's name.

    Raises:
        OrchestratorError: it is not theirs, not open, or this is no answer to it.

    """
    question = reach.question_to_answer(talk.person, question_id)
    graph.answer_question(question_id=question.pk, text=text)


def choose(talk: Talk, *, question_id: str, index: str) -> str:
    """Answer a question by one of its options."""
    question = reach.question_to_answer(talk.person, question_id)
    option = question.options[int(index)]
    graph.answer_question(question_id=question.pk, text=option)
    return words.shortened(str(option), _SHOWN_OPTION_CHARACTERS)


def find_replied(chat: Chat, message_id: int | None) -> Question | None:
    """Return the open question that a message in a chat shows, if it shows one."""
    if message_id is None:
        return None
    rows = Delivery.objects.filter(chat=chat, message_id=message_id, idempotency_key__startswith="question:")
    key = rows.values_list("idempotency_key", flat=True).first()
    if key is None:
        return None
    return Question.objects.filter(pk=key.split(":")[1], status=QuestionStatus.OPEN).first()


def find_free(person: User) -> Question | None:
    """Return the latest open question of a Product Owner that any text is an answer to."""
    rows = Question.objects.filter(
        owner_id=person.pk, status=QuestionStatus.OPEN, options=[], deadline_at__gt=timezone.now()
    )
    return rows.order_by("-created_at").first()


def project_of(question: Question) -> Project | None:
    """Return the project that a run asks for; a Product Owner asks for none."""
    return None if question.run is None else question.run.task.project


def chats_of(question: Question) -> list[Chat]:
    """Return the chats in which a question can be answered."""
    if question.run is None:
        return reach.chats_of([question.owner_id])
    return [
        chat
        for chat in reach.chats_of_task(question.run.task)
        if chat.user is not None and reach.may_change(chat.user)
    ]


def _is_shown(key: str) -> bool:
    return Delivery.objects.filter(idempotency_key=key).exists()


def _text(question: Question, language: str) -> str:
    project = project_of(question)
    head = "❓ " + (words.bold(project.name) if project else _("A question for you"))
    asked = words.text(question.texts.get(language) or question.text)
    match question.status:
        case QuestionStatus.OPEN:
            foot = _hint(question)
        case QuestionStatus.ANSWERED:
            told = _("given") if question.secret_key else words.name(question.answer, 300)
            foot = f"✓ {told}"
        case QuestionStatus.EXPIRED:
            foot = _("Nobody answered in time.")
        case _:
            foot = _("The answer is not needed any more.")
    return words.lines(head, asked, [foot] if foot else [])


def _hint(question: Question) -> str:
    if question.secret_key:
        return _("The value goes into the project's secrets; neither an agent nor a log sees it.")
    return "" if question.options else _("Reply to this message, or tap the button and write.")


def _buttons(question: Question, chat: Chat) -> outbox.Buttons:
    if question.secret_key:
        return _secret_buttons(question, chat)
    if not question.options:
        return [[_button(_("Write the answer"), question, chat, Action.ANSWER_FREELY)]]
    return [
        [_button(str(option), question, chat, Action.ANSWER, argument=str(index))]
        for index, option in enumerate(question.options)
    ]


def _secret_buttons(question: Question, chat: Chat) -> outbox.Buttons:
    found = [[_button(_("Give the value"), question, chat, Action.SECRET)]]
    project = project_of(question)
    if project and format_of(project, question.secret_key) == pool.BOT_TOKEN and pool.free_tokens():
        found.append([_button(_("Take a bot from the pool"), question, chat, Action.POOL)])
    return found


def format_of(project: Project, key: str) -> str:
    """Return what the project's environment contract says a secret looks like."""
    entries = (project.manifest or {}).get("environment") or []
    return next((str(one.get("format") or "text") for one in entries if one.get("key") == key), "text")


def _button(
    text: str, question: Question, chat: Chat, action: Action, *, argument: str = ""
) -> outbox.Button:
    return callbacks.button(
        words.shortened(text, _SHOWN_OPTION_CHARACTERS),
        chat=chat,
        user=chat.user,
        action=action,
        subject=f"question:{question.pk}" if action in (Action.SECRET, Action.POOL) else question.pk,
        argument=argument,
        key=f"{key_of(question, chat)}:{action}:{argument}",
        # Opening a dialog again harms nobody; the answer itself is taken once.
        is_reusable=action in (Action.SECRET, Action.ANSWER_FREELY),
    )
