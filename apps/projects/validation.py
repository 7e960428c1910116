"""What a person may write into a project, a task or a secret; pure. Every refusal names its field."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from apps.errors import Invalid
from apps.projects.environment_contract import DEPLOY_SECRETS
from apps.projects.git_names import check_branch, check_sha
from apps.projects.models import Module, TaskType

NAME_CHARACTERS: Final = 120
DESCRIPTION_CHARACTERS: Final = 10_000
SPEC_CHARACTERS: Final = 20_000
TITLE_CHARACTERS: Final = 200
SECRET_BYTES: Final = 65_536

_SECRET_KEY: Final = re.compile(r"[A-Z][A-Z0-9_]{0,99}")
# The deployment itself sets these, or they would change which program runs.
_RESERVED_KEYS: Final = frozenset({"PORT", "DATA_DIR", "PATH", "HOME", "PYTHONPATH", "VIRTUAL_ENV"})
_UNSTORABLE: Final = ("Cc", "Cs")  # control characters, and halves of surrogate pairs
_LINE_BREAKS: Final = ("Zl", "Zp")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectWords:
    """What a project is made from, as it will be stored."""

    name: str
    description: str
    modules: tuple[str, ...]


def project_words(*, name: str, description: str, modules: Sequence[str]) -> ProjectWords:
    """Check everything a new project is made from and report all problems at once.

    Raises:
        Invalid: ``details`` maps each refused field to its problem.

    """
    name, description = clean_name(name), clean_text(description)
    problems = {
        "name": name_problem(name),
        "description": text_problem(description, limit=DESCRIPTION_CHARACTERS),
        "modules": modules_problem(modules),
    }
    refuse(problems)
    return ProjectWords(name=name, description=description, modules=tuple(modules))


def refuse(problems: dict[str, str | None]) -> None:
    """Raise when any field has a problem.

    Raises:
        Invalid: ``details`` maps each refused field to its problem.

    """
    found = {field: problem for field, problem in problems.items() if problem}
    if found:
        message = "; ".join(f"{field}: {problem}" for field, problem in found.items())
        raise Invalid(message, details=found)


def clean_name(name: str) -> str:
    """Return a name in one normal form without space around it."""
    return unicodedata.normalize("NFC", name).strip()


def clean_text(text: str) -> str:
    """Return a text with one kind of line ending."""
    return text.replace("\r\n", "\n")


def name_problem(name: str) -> str | None:
    """Tell what is wrong with a project's name, if anything."""
    if not name.strip():
        return "must not be empty"
    if len(name) > NAME_CHARACTERS:
        return f"must have at most {NAME_CHARACTERS} characters, has {len(name)}"
    return _character_problem(name, refused=(*_UNSTORABLE, *_LINE_BREAKS))


def text_problem(text: str, *, limit: int, required: bool = False) -> str | None:
    """Tell what is wrong with a text of several lines, if anything.

    Args:
        text: what was written.
        limit: the largest acceptable number of characters.
        required: whether it must say something.

    """
    if required and not text.strip():
        return "must not be empty"
    if len(text) > limit:
        return f"must have at most {limit} characters, has {len(text)}"
    return _character_problem(text, refused=_UNSTORABLE, allowed="\n\t")


def modules_problem(modules: Sequence[str]) -> str | None:
    """Tell what is wrong with a choice of modules, if anything."""
    unknown = [str(name)[:50] for name in modules if name not in Module.values]
    if unknown:
        return f"unknown: {', '.join(map(repr, unknown[:5]))}; known are {', '.join(Module.values)}"
    if not modules:
        return f"choose at least one of {', '.join(Module.values)}"
    if len(set(modules)) != len(modules):
        return "must not name a module twice"
    return None


def task_problems(*, kind: str, spec: str) -> dict[str, str | None]:
    """Tell what is wrong with the words of a task, by field."""
    known = kind in TaskType.values
    return {
        "type": None if known else f"must be one of {', '.join(TaskType.values)}",
        "spec": text_problem(spec, limit=SPEC_CHARACTERS, required=kind == TaskType.ENGINEERING),
    }


def secret_problems(*, key: str, value: str) -> dict[str, str | None]:
    """Tell what is wrong with a secret, by field; the value itself is in no answer."""
    return {"key": _secret_key_problem(key), "value": _secret_value_problem(value)}


def change_problems(*, branch: str, shas: Mapping[str, str]) -> dict[str, str | None]:
    """Tell what is wrong with a proposed change, by field."""
    return {
        "branch": _refusal(check_branch, branch) or (None if len(branch) <= 120 else "is too long"),
        **{field: _refusal(check_sha, sha) for field, sha in shas.items()},
    }


def one_line(text: str, *, limit: int = TITLE_CHARACTERS) -> str:
    """Return words from outside as one printable line of bounded length."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:limit]


def _refusal(check: Callable[[str], str], value: str) -> str | None:
    try:
        check(value)
    except Invalid as error:
        return error.message
    return None


def _secret_key_problem(key: str) -> str | None:
    if not _SECRET_KEY.fullmatch(key):
        return "must start with a capital letter and use at most 100 of A-Z, 0-9 and _"
    if key in _RESERVED_KEYS or key in DEPLOY_SECRETS or key.startswith(("LD_", "GITHUB_")):
        return "is reserved for the deployment itself"
    return None


def _secret_value_problem(value: str) -> str | None:
    if not value:
        return "must not be empty"
    if "\0" in value or any(unicodedata.category(character) == "Cs" for character in value):
        return "has a character that no environment variable can hold"
    if len(value.encode()) > SECRET_BYTES:
        return f"must have at most {SECRET_BYTES} bytes"
    return None


def _character_problem(text: str, *, refused: Sequence[str], allowed: str = "") -> str | None:
    for position, character in enumerate(text):
        if character not in allowed and unicodedata.category(character) in refused:
            return f"has the control character U+{ord(character):04X} at position {position}"
    return None
