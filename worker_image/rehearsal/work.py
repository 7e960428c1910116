"""Applies a meaning to a checkout: which files change, and what to say about it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from worker_image.rehearsal import code, reading
from worker_image.rehearsal.code_types import words
from worker_image.rehearsal.spec import (
    AddFields,
    Field,
    Meaning,
    NewResource,
    Refusal,
    RemoveFields,
    Resource,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What is to be written."""

    resource: Resource
    title: str  # a commit subject
    verb: str  # "created" or "changed"


def plan(checkout: Path, meaning: Meaning) -> Change:
    """Decide what a meaning changes in this project.

    Raises:
        Refusal: `resource_unknown`, `field_unknown`, `nothing_to_change`, `code_changed_by_hand` or
            `code_not_readable`; nothing was written.

    """
    known = reading.list_resources(checkout)
    match meaning:
        case NewResource(resource=resource) if resource.plural not in known:
            return Change(resource=resource, title=_creating(resource), verb="created")
        case NewResource(resource=resource):
            old = _editable(checkout, resource.plural)
            return _extend(old, tuple(field.as_added(required=False) for field in resource.fields))
        case AddFields(fields=fields, target=target):
            return _extend(_editable(checkout, _target(known, target)), fields)
        case RemoveFields(names=names, target=target):
            return _reduce(_editable(checkout, _target(known, target)), names)


def files_of(change: Change) -> dict[str, str]:
    """Return path -> text of what the change writes."""
    return code.render(change.resource)


def _title(resource: Resource) -> str:
    return words(resource.plural).capitalize()


def _creating(resource: Resource) -> str:
    return f"Add {words(resource.plural)}: {_listed(field.name for field in resource.fields)}"[:72]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(words(name) for name in names)


def _target(known: frozenset[str], target: str | None) -> str:
    if target is not None:
        return target
    if len(known) != 1:
        options = f"name one of {', '.join(sorted(known))}" if known else "this project has no resource yet"
        raise Refusal("resource_unknown", f"It is not clear which resource is meant: {options}")
    return next(iter(known))


def _editable(checkout: Path, plural: str) -> Resource:
    """Read a resource, and make sure that writing it again loses nobody's work."""
    resource = reading.read_resource(checkout, plural)
    for name, text in code.render(resource).items():
        path = checkout / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            message = f"{name} is not as the rehearsal agent wrote it; it would be overwritten"
            raise Refusal("code_changed_by_hand", message)
    return resource


def _extend(resource: Resource, fields: tuple[Field, ...]) -> Change:
    added = tuple(field for field in fields if resource.field(field.name) is None)
    if not added:
        names = _listed(field.name for field in fields)
        raise Refusal("nothing_to_change", f"{_title(resource)} have all of this already: {names}")
    title = f"Add {_listed(field.name for field in added)} to {words(resource.plural)}"[:72]
    return Change(resource=replace(resource, fields=resource.fields + added), title=title, verb="changed")


def _reduce(resource: Resource, names: tuple[str, ...]) -> Change:
    unknown = [name for name in names if resource.field(name) is None]
    if unknown:
        has = _listed(field.name for field in resource.fields)
        raise Refusal("field_unknown", f"{_title(resource)} have no {_listed(unknown)}; they have {has}")
    left = tuple(field for field in resource.fields if field.name not in names)
    if not left:
        raise Refusal("nothing_left", f"{_title(resource)} would have no field left")
    title = f"Remove {_listed(names)} from {words(resource.plural)}"[:72]
    return Change(resource=replace(resource, fields=left), title=title, verb="changed")
