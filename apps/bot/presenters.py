"""How things are written in Telegram's HTML; pure. Whatever people or agents wrote is escaped here."""

import html
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.errors import Conflict, Invalid, NotFound, OrchestratorError, Unavailable

_MINUTE: Final = 60
_HOUR: Final = 3_600
_LONGEST_NAME: Final = 120
#: Marks that turn the direction of what follows them, and are not ended by the end of a name.
_TURNS: Final = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C])
_ISOLATE, _END_ISOLATE = "\u2068", "\u2069"
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL"})
#: Refusals that people meet often, in words for them; the others are told as they are.
_REFUSALS: Final[Mapping[str, str]] = {
    "tap_unknown": gettext_noop("This button is not known (any more)."),
    "tap_foreign": gettext_noop("This button is not yours."),
    "tap_expired": gettext_noop("This button has expired."),
    "tap_used": gettext_noop("This button was used already."),
    "invitation_unknown": gettext_noop("There is no such invitation."),
    "invitation_used": gettext_noop("This invitation was used already."),
    "invitation_expired": gettext_noop("This invitation has expired. Ask for a new one."),
    "telegram_taken": gettext_noop("This chat belongs to another account here."),
    "question_closed": gettext_noop("This question is not open any more."),
    "illegal_transition": gettext_noop("It has moved on meanwhile; this is not possible any more."),
    "not_retryable": gettext_noop("Only what failed or was stopped can be tried again."),
    "project_archived": gettext_noop("This project is archived."),
    "rollback_impossible": gettext_noop("There is no earlier release to go back to."),
    "bot_token_taken": gettext_noop("This bot works for another project already; a bot can serve one only."),
    "too_many_questions": gettext_noop("Too many questions are open; answer one of them first."),
    "provisioning_under_way": gettext_noop("This server is being set up already."),
    "not_provisionable": gettext_noop(
        "This server cannot be set up: it is this machine, missing or given up."
    ),
    "not_managed": gettext_noop("This server is a provider's and not among those that I may touch."),
    "duplicate_address": gettext_noop(
        "Another server has the same address and port; one of the two is wrong."
    ),
    "denied": gettext_noop("You are not allowed to do that here."),
}


def text(words: object) -> str:
    """Return somebody's text so that Telegram shows it as it was written."""
    return html.escape(str(words), quote=False)


def name(words: object, limit: int = _LONGEST_NAME) -> str:
    """Return somebody's name on one line; one that is read from the right does not turn its surroundings."""
    plain = str(words).translate(_TURNS)
    line = "".join(sign if sign.isprintable() or sign in "\u200d\ufe0f" else " " for sign in plain)
    line = shortened(" ".join(line.split()), limit)
    if any(unicodedata.bidirectional(sign) in _RIGHT_TO_LEFT for sign in line):
        line = f"{_ISOLATE}{line}{_END_ISOLATE}"
    return text(line)


def plain(markup: str) -> str:
    """Return a text of ours without its markup, for where Telegram takes none."""
    return html.unescape(re.sub(r"<[^<>]*>", "", markup))


def bold(words: object) -> str:
    """Return a name in bold."""
    return f"<b>{name(words)}</b>"


def code(words: object) -> str:
    """Return an exact word, which a tap copies."""
    return f"<code>{text(words)}</code>"


def shortened(words: str, limit: int) -> str:
    """Return a text of at most so many characters."""
    return words if len(words) <= limit else words[: limit - 1].rstrip() + "…"


def link(address: str, words: str = "") -> str:
    """Return a link; only to a web address."""
    if not re.match(r"https?://", address):
        return text(words or address)
    return f'<a href="{html.escape(address)}">{text(words or address)}</a>'


def lines(*parts: str | Iterable[str]) -> str:
    """Join lines; empty ones are kept, None of them is."""
    found: list[str] = []
    for part in parts:
        found.extend([part] if isinstance(part, str) else part)
    return "\n".join(found)


def duration(seconds: float) -> str:
    """Say how long something took, as a person would."""
    if seconds < _MINUTE:
        return _("%(seconds)s s") % {"seconds": f"{seconds:.0f}"}
    minutes, rest = divmod(round(seconds), _MINUTE)
    if minutes < _MINUTE:
        return _("%(minutes)s min %(seconds)s s") % {"minutes": minutes, "seconds": f"{rest:02d}"}
    hours, minutes = divmod(minutes, _MINUTE)
    return _("%(hours)s h %(minutes)s min") % {"hours": hours, "minutes": f"{minutes:02d}"}


def refusal(error: OrchestratorError) -> str:
    """Say why something was not done, and whose move it is."""
    known = _REFUSALS.get(error.error_code)
    if known:
        return _(known)
    # A refusal of fields has said it already.
    told = {key: value for key, value in error.details.items() if f"{key}: {value}" not in error.message}
    details = "; ".join(f"{name(key, 40)}: {name(value, 200)}" for key, value in told.items())
    reason = name(error.message, 300) + (f" ({details})" if details else "")
    return f"{_whose_move(error)} {reason}"


def failure(record: Mapping[str, Any] | None) -> str:
    """Say what went wrong and what one can do about it."""
    if not record:
        return _("The reason is not known.")
    # Its code stands on the same line.
    message = text(shortened(str(record.get("message", "")).translate(_TURNS), 600))
    said = _("%(message)s (%(code)s)") % {"message": message, "code": name(record.get("code", ""))}
    return f"{said}\n{_advice(record)}"


def _advice(record: Mapping[str, Any]) -> str:
    match record.get("kind"):
        case "product":
            return _("The work itself did not pass. Say more exactly what you want, or try again.")
        case "user":
            return _("It needs something from you: give it, then try again.")
        case "provider":
            return _("A service that it depends on refused. Try again later.")
        case _:
            return _("This is our fault, not yours. Try again; an operator can see it.")


def _whose_move(error: OrchestratorError) -> str:
    if isinstance(error, NotFound):
        return _("That does not exist (any more).")
    if isinstance(error, Conflict):
        return _("That is not possible now.")
    if isinstance(error, Invalid):
        return _("That cannot be done like this.")
    if isinstance(error, Unavailable):
        return _("Something does not answer right now; try again in a moment.")
    return _("That did not work.")
