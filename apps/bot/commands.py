"""The commands: who may use which, and what each does. None of them needs the assistant."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from django.conf import settings
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.bot import (
    access,
    callbacks,
    chat_tasks,
    conversation,
    dialogs,
    lists,
    operating,
    outbox,
    reach,
    secret_lists,
    taps,
)
from apps.bot import presenters as words
from apps.bot.models import Action
from apps.bot.talk import Talk
from apps.projects.models import User
from apps.roles import Role


class For(IntEnum):
    """Whom a command is for."""

    EVERYBODY = 0
    BUILDERS = 1  # those who may change something
    OPERATORS = 2
    OWNERS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One command."""

    does: Callable[[Talk], None]
    told: Promise  # what it does, for the help and the menu
    whom: For = For.EVERYBODY


_LANGUAGES: Final = {"en": "English", "ru": "Русский"}
#: What may follow /settings → whether only results make a sound.
_SOUNDS: Final = {"quiet": True, "loud": False}


def run(talk: Talk) -> None:
    """Do what a command says.

    Raises:
        OrchestratorError: it is refused.

    """
    command = COMMANDS.get(talk.incoming.command)
    if command is None:
        talk.say(_("I do not know this command. /help shows those that I know."))
        return
    if not _may(talk.person, command):
        raise reach.Denied()
    command.does(talk)


def menu(language: str) -> dict[str, str]:
    """Return what the menu of everybody's chat shows: name → what it does."""
    with translation.override(language):
        return {name: str(command.told) for name, command in COMMANDS.items() if command.whom <= For.BUILDERS}


def _may(person: User, command: Command) -> bool:
    powers = reach.powers_of(person)
    match command.whom:
        case For.EVERYBODY:
            return True
        case For.BUILDERS:
            return reach.may_change(person)
        case For.OPERATORS:
            return powers.operates
        case For.OWNERS:
            return powers.manages_people


def _start(talk: Talk) -> None:
    if talk.incoming.argument:
        access.accept_code(talk, talk.incoming.argument)
    else:
        is_back = talk.chat.deliveries.exists()
        talk.say(access.welcome(talk.person, is_back=is_back))


def _help(talk: Talk) -> None:
    lines = [
        f"/{name} – {words.text(command.told)}"
        for name, command in COMMANDS.items()
        if _may(talk.person, command)
    ]
    talk.say(words.lines(_("Write what you want in your own words, or use a command:"), lines))


def _new(talk: Talk) -> None:
    description = talk.incoming.argument
    if description:
        # For the assistant, who talks with the person about what is missing.
        conversation.hear(talk, text=f"Build a new project: {description}", wake=chat_tasks.converse)
    else:
        talk.say(_("Write what you want to have built: what it keeps, what it does, and for whom."))


def _project(talk: Talk) -> None:
    if talk.incoming.argument:
        lists.show_project(talk, reach.find_project(talk.person, talk.incoming.argument))
    else:
        lists.show_projects(talk)


def _secret(talk: Talk) -> None:
    asked = talk.incoming.argument.split()
    if not asked:
        text = _("Of which project?")
        buttons = secret_lists.project_buttons(talk)
        talk.say(text if buttons else _("There are no projects yet."), buttons=buttons)
        return
    named = reach.find_project(talk.person, asked[0])
    project = reach.project_to_change(talk.person, named.pk)
    if len(asked) > 2:
        talk.forget_message()  # a value came along; it is asked for anew, and checked as every other
    if len(asked) == 1:
        secret_lists.show_secrets(talk, project)
    else:
        # In small letters only a name that is known: anything else may be the value itself.
        name, capitals = asked[1], asked[1].upper()
        if len(asked) == 2 and not dialogs.is_name(name) and capitals in secret_lists.names_of(project):
            name = capitals
        dialogs.ask_secret(talk, project=project, key=name)


def _stop(talk: Talk) -> None:
    rows = reach.visible_tasks(talk.person).filter(status__in=lists.UNFINISHED).order_by("-created_at")
    buttons = lists.stop_buttons(talk, rows[: lists.MOST_SHOWN])
    talk.say(_("What shall I stop?") if buttons else _("Nothing is under way."), buttons=buttons)


def _language(talk: Talk) -> None:
    known = dict(settings.LANGUAGES)
    wanted = talk.incoming.argument.lower()
    if wanted in known:
        talk.say(taps.choose_language(talk, wanted))
        return
    refusal = [_("I do not speak %(language)s.") % {"language": words.name(wanted)}] if wanted else []
    talk.say(words.lines(refusal, _("Which language shall I speak?")), buttons=[_language_buttons(talk)])


def _language_buttons(talk: Talk) -> list[outbox.Button]:
    return [
        callbacks.button(
            _LANGUAGES[language],
            chat=talk.chat,
            user=talk.user,
            action=Action.LANGUAGE,
            argument=language,
            key=talk.key(f"language:{language}"),
            is_reusable=True,
        )
        for language in _LANGUAGES
    ]


def _settings(talk: Talk) -> None:
    wanted = talk.incoming.argument.lower()
    if wanted in _SOUNDS:
        talk.say(taps.choose_sound(talk, is_quiet=_SOUNDS[wanted]))
        return
    person = talk.person
    text = words.lines(
        _("<b>Settings</b>"),
        _("You are: %(name)s") % {"name": words.name(person.username)},
        _("Your role: %(role)s") % {"role": words.text(Role(person.role).label)},
        _("Your Telegram id: %(id)s") % {"id": words.code(person.telegram_id)},
        _("Sound: %(sound)s")
        % {"sound": _("results, answers and questions only") if talk.chat.is_quiet else _("everything")},
        _("Language: %(name)s") % {"name": _LANGUAGES.get(talk.chat.language, _LANGUAGES["en"])},
    )
    if wanted:
        known = {sound: words.code(f"/settings {sound}") for sound in _SOUNDS}
        text = words.lines(_("That I cannot set. I know %(quiet)s and %(loud)s.") % known, text)
    talk.say(text, buttons=[_language_buttons(talk), [_sound_button(talk)]])


def _sound_button(talk: Talk) -> outbox.Button:
    """Offer the other of the two: cards and notices of work under way come with a sound, or without."""
    wanted = "everything" if talk.chat.is_quiet else "results"
    return callbacks.button(
        _("Sound for everything") if talk.chat.is_quiet else _("Sound for results only"),
        chat=talk.chat,
        user=talk.user,
        action=Action.SOUND,
        argument=wanted,
        key=talk.key(f"sound:{wanted}"),
        is_reusable=True,
    )


COMMANDS: Final[Mapping[str, Command]] = {
    "start": Command(does=_start, told=gettext_lazy("begin")),
    "help": Command(does=_help, told=gettext_lazy("show the commands")),
    "new": Command(does=_new, told=gettext_lazy("have something built"), whom=For.BUILDERS),
    "projects": Command(does=lists.show_projects, told=gettext_lazy("list the projects")),
    "project": Command(does=_project, told=gettext_lazy("show one project")),
    "tasks": Command(does=lists.show_tasks, told=gettext_lazy("show what is under way")),
    "status": Command(does=lists.show_status, told=gettext_lazy("tell how the projects are")),
    "servers": Command(does=lists.show_servers, told=gettext_lazy("list the servers")),
    "secret": Command(does=_secret, told=gettext_lazy("give a secret to a project"), whom=For.BUILDERS),
    "stop": Command(does=_stop, told=gettext_lazy("stop something"), whom=For.BUILDERS),
    "language": Command(does=_language, told=gettext_lazy("choose the language")),
    "settings": Command(does=_settings, told=gettext_lazy("show the settings")),
    "workers": Command(
        does=operating.show_workers, told=gettext_lazy("list the workers"), whom=For.OPERATORS
    ),
    "kill": Command(does=operating.kill, told=gettext_lazy("stop a worker"), whom=For.OPERATORS),
    "queues": Command(does=operating.show_queues, told=gettext_lazy("show what waits"), whom=For.OPERATORS),
    "incidents": Command(
        does=operating.show_incidents, told=gettext_lazy("show what is broken"), whom=For.OPERATORS
    ),
    "provision": Command(does=operating.provision, told=gettext_lazy("set up a server"), whom=For.OPERATORS),
    "users": Command(does=operating.show_users, told=gettext_lazy("list the people"), whom=For.OWNERS),
    "invite": Command(does=operating.invite, told=gettext_lazy("invite somebody"), whom=For.OWNERS),
}
