"""Renders the template of generated projects; pure but for the directory it fills.

The same answers give the same bytes, on any machine: no time, no path, no random value gets in. Copier is
loaded by the first rendering: with its terminal it takes half a second, and few processes render.
"""

import errno
import os
import re
import shutil
import tempfile
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from apps.errors import Conflict, Invalid, Unavailable
from apps.projects import template_foreign as foreign
from apps.projects.template_errors import TemplateFailed as TemplateFailed
from apps.projects.template_source import TemplateSource

TEMPLATE_DIRECTORY: Final = Path(__file__).parent / "template"
NAME_LENGTH: Final = 100
DESCRIPTION_LENGTH: Final = 20_000

_SLUG = re.compile(r"[a-z][a-z0-9-]{0,62}")
_REMEDY: Final = "Mend the template, or name a tag of it that works in SCAFFOLD_TEMPLATE_REF; then try again."
_FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT})


class TemplateUnknownModule(Invalid):
    """The template has no module of that name."""

    code = "template_unknown_module"


class TemplateAnswerInvalid(Invalid):
    """An answer cannot be put into a project."""

    code = "template_answer_invalid"


class TemplateDestinationTaken(Conflict):
    """There is something in the directory that the project should go to."""

    code = "template_destination_taken"


class TemplateNotWritten(Unavailable):
    """The rendered project could not be written."""

    code = "template_not_written"


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateAnswers:
    """What a project is rendered from."""

    project_name: str  # one line for people
    project_slug: str
    project_description: str  # the person's own words, any language, several lines
    modules: tuple[str, ...]
    project_owner: str = ""  # name of the account; asked for by templates of others alone


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderResult:
    """What was rendered."""

    files: tuple[str, ...]  # paths inside the project, sorted
    template_version: str


def render(
    destination: Path,
    *,
    answers: TemplateAnswers,
    source: TemplateSource | None = None,
    run_copy: Callable[..., object] | None = None,
) -> RenderResult:
    """Fill a directory with a new project, completely or not at all.

    Args:
        destination: an absent or empty directory; its parent exists.
        answers: checked here, so callers may pass what a person wrote.
        source: another template than ours.
        run_copy: something called like Copier's function of that name, which it is by default.

    Raises:
        TemplateUnknownModule: a module is not part of the template.
        TemplateAnswerInvalid: `details["field"]` names the answer at fault.
        TemplateFailed: the template itself is broken, or it writes down where it was rendered.
        TemplateSourceInvalid, TemplateRefMissing, TemplateSourceUnavailable: see `TemplateSource.files`.
        TemplateDestinationTaken: the directory is not empty.
        TemplateNotWritten: the file system refused; code `disk_full` when it is full.
    """
    data = _checked(answers, known_modules(source))
    template = TEMPLATE_DIRECTORY if source is None else source.files()
    try:
        if destination.exists() and any(destination.iterdir()):
            raise TemplateDestinationTaken(details={"field": "destination"})
        scratch = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", dir=destination.parent))
        try:
            project = scratch / "project"
            given = data if source is None else source.mapping.data(_given(answers, data))
            _copy(run_copy, template, project, given)
            if source is not None:
                foreign.finish(project, template, source=source, modules=data["modules"], machine=scratch)
            files = tuple(sorted(str(path.relative_to(project)) for path in _files(project)))
            # Atomic, and refused by the file system if somebody filled the directory meanwhile.
            os.replace(project, destination)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise _not_written(error) from error
    return RenderResult(files=files, template_version=template_version(source))


def template_version(source: TemplateSource | None = None) -> str:
    """Return the pinned version of the template, of ours unless another one is given."""
    return str(_questions()["template_version"]["default"]) if source is None else source.version


def known_modules(source: TemplateSource | None = None) -> tuple[str, ...]:
    """Return the modules a project may consist of."""
    ours = tuple(_questions()["modules"]["choices"])
    theirs = None if source is None else source.mapping.known_modules()
    return ours if theirs is None else tuple(name for name in ours if name in theirs)


@cache
def _questions() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((TEMPLATE_DIRECTORY / "copier.yml").read_text(encoding="utf-8"))
    return loaded


def _files(directory: Path) -> Iterator[Path]:
    return (path for path in directory.rglob("*") if path.is_file())


def _copy(
    run_copy: Callable[..., object] | None, template: Path, project: Path, data: dict[str, Any]
) -> None:
    import copier

    run_copy = run_copy or copier.run_copy
    options: dict[str, Any] = {"defaults": True, "quiet": True, "settings": copier.Settings()}
    try:
        # Tasks, migrations and extensions of a template would run here: it is never trusted.
        run_copy(str(template), project, data=data, unsafe=False, **options)
    except OSError:
        raise
    except Exception as error:  # whatever an expression of the template raises is the template's failure
        words = str(error).replace(str(template), "template") or type(error).__name__
        place = _place(error, template)
        told = f"The template could not be rendered: {words}{f' ({place})' if place else ''}. {_REMEDY}"
        raise TemplateFailed(told) from error


def _place(error: Exception, template: Path) -> str:
    """Return the file of the template, and its line, that an error came from; empty when none says so."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [(Path(frame.filename), frame.lineno) for frame in frames]
    return next((f"{path.name}:{line}" for path, line in reversed(places) if template in path.parents), "")


def _given(answers: TemplateAnswers, data: dict[str, Any]) -> dict[str, Any]:
    """Return checked answers under the names by which a mapping speaks of them."""
    return {
        **{name: data[f"project_{name}"] for name in ("name", "slug", "description")},
        "slug_underscore": data["project_slug"].replace("-", "_"),
        "owner": answers.project_owner,
        "modules": data["modules"],
    }


def _checked(answers: TemplateAnswers, known: tuple[str, ...]) -> dict[str, Any]:
    unknown = [name for name in answers.modules if name not in known]
    if unknown or not answers.modules:
        named = ", ".join(repr(name[:50]) for name in unknown) or "none given"
        raise TemplateUnknownModule(
            f"modules: {named}; known are {', '.join(known)}",
            details={"field": "modules", "unknown": [name[:50] for name in unknown]},
        )
    if not _SLUG.fullmatch(answers.project_slug):
        raise _invalid("project_slug", "must start with a letter and use only a-z, 0-9 and hyphens")
    name = answers.project_name.strip()
    description = answers.project_description.replace("\r\n", "\n")
    return {
        "project_name": _checked_text("project_name", name, range(1, NAME_LENGTH + 1)),
        "project_slug": answers.project_slug,
        "project_description": _checked_text(
            "project_description", description, range(DESCRIPTION_LENGTH + 1), allowed="\n\t"
        ),
        "modules": [name for name in known if name in answers.modules],
    }


def _checked_text(field: str, text: str, lengths: range, *, allowed: str = "") -> str:
    if len(text) not in lengths:
        raise _invalid(field, f"must have {lengths[0]} to {lengths[-1]} characters, has {len(text)}")
    for position, character in enumerate(text):
        # Cc: control characters; Cs: halves of surrogate pairs, which no file can hold.
        if character not in allowed and unicodedata.category(character) in ("Cc", "Cs"):
            raise _invalid(field, f"has the control character U+{ord(character):04X} at position {position}")
    return text


def _invalid(field: str, problem: str) -> TemplateAnswerInvalid:
    return TemplateAnswerInvalid(f"{field} {problem}", details={"field": field})


def _not_written(error: OSError) -> Unavailable | Conflict:
    if error.errno in _FULL_DISK:
        return TemplateNotWritten("The disk is full", code="disk_full")
    if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
        return TemplateDestinationTaken(details={"field": "destination"})
    return TemplateNotWritten(f"The project could not be written: {error.strerror}")
