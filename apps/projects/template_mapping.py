"""How the answers of a project become the answers of a template that is not ours, and its missing manifest.

SCAFFOLD_TEMPLATE_MAP names a YAML file that holds the table, or holds it itself as JSON:

    answers:
      project_name: {from: slug}     # or name, slug_underscore, description, modules, owner
      modules: {from: modules, join: ",", rename: {backend: backend, telegram: tg_bot}}
      author_name: Nobody            # always this
    manifest:                        # written as project.yaml when the template brings none
      version: 1
      commands: {setup: make setup, check: make check, tests: make list-tests}
      services:
        - {module: backend, name: backend, run: make run, port: web, health: /health}

Modules that `rename` does not list cannot be chosen. Services and variables with `module` are kept when
that module was chosen; the manifest's `modules` are filled in.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from apps.projects.manifest import ManifestInvalid, parse_manifest
from apps.projects.template_errors import TemplateUnusable

_PARTS = ("services", "environment")  # of a manifest; each entry may belong to a module


class TemplateMappingInvalid(TemplateUnusable):
    """The table SCAFFOLD_TEMPLATE_MAP, which maps answers to the configured template, cannot be used."""

    code = "template_mapping_invalid"


class Answer(BaseModel):
    """Where one answer comes from; written as a plain value, it is always that value."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)

    source: Literal["name", "slug", "slug_underscore", "description", "modules", "owner"] | None = Field(
        default=None, alias="from"
    )
    value: str | int | bool | None = None
    join: str | None = None  # of modules: one text instead of a list
    rename: dict[str, str] | None = None  # of modules: what the template calls them; no other can be chosen

    @model_validator(mode="before")
    @classmethod
    def _plain_value(cls, given: Any) -> Any:
        return {"value": given} if isinstance(given, str | int | bool) else given

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.source is None) == (self.value is None):
            raise ValueError("needs either from or value")
        if self.source != "modules" and (self.join is not None or self.rename is not None):
            raise ValueError("join and rename belong to modules")
        return self


class TemplateMapping(BaseModel):
    """The whole table; without one, a template is asked our own questions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    answers: dict[str, Answer] = {
        "project_name": Answer(source="name"),
        "project_slug": Answer(source="slug"),
        "project_description": Answer(source="description"),
        "modules": Answer(source="modules"),
    }
    manifest: dict[str, Any] | None = None

    def known_modules(self) -> frozenset[str] | None:
        """Return the modules that can be chosen; None if the table does not tell."""
        tables = [set(answer.rename) for answer in self.answers.values() if answer.rename is not None]
        return frozenset.intersection(*map(frozenset, tables)) if tables else None

    def data(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the template's answers.

        Args:
            given: modules as a list of texts; name, slug, description and owner as texts.

        """
        return {key: _answer(answer, given) for key, answer in self.answers.items()}

    def manifest_text(self, modules: Iterable[str]) -> str | None:
        """Return the manifest for a choice of modules, if the table has one."""
        if self.manifest is None:
            return None
        chosen = list(modules)
        kept = {
            key: _chosen(value, chosen) if key in _PARTS else value for key, value in self.manifest.items()
        }
        return yaml.safe_dump({**kept, "modules": chosen}, sort_keys=False, allow_unicode=True)

    def check(self, known: Collection[str]) -> None:
        """Make sure that every choice of one module, and of all, gives a manifest.

        Args:
            known: the modules there are.

        Raises:
            TemplateMappingInvalid: `details["field"]` names what is wrong.

        """
        for field, name in self._named_modules():
            if name not in known:
                raise _wrong(field, f"there is no module {name[:50]!r}; known are {', '.join(known)}")
        offered = self.known_modules()
        modules = [name for name in known if offered is None or name in offered]
        for chosen in [*([name] for name in modules), modules]:
            self._check_manifest(chosen)

    def _named_modules(self) -> Iterator[tuple[str, str]]:
        for key, answer in self.answers.items():
            yield from ((f"answers.{key}.rename", name) for name in answer.rename or ())
        for part in _PARTS:
            entries = (self.manifest or {}).get(part)
            for number, entry in enumerate(entries if isinstance(entries, list) else ()):
                if isinstance(entry, dict) and "module" in entry:
                    yield f"manifest.{part}.{number}.module", str(entry["module"])

    def _check_manifest(self, modules: list[str]) -> None:
        text = self.manifest_text(modules)
        try:
            if text is not None:
                parse_manifest(text.encode())
        except ManifestInvalid as error:
            field = f"manifest.{error.details.get('field', '')}"
            raise _wrong(field, f"{error.message} (with {', '.join(modules)})") from error


def load_mapping(table: str) -> TemplateMapping:
    """Read a table.

    Args:
        table: the path of a YAML file, or JSON; empty for the table that asks our own questions.

    Raises:
        TemplateMappingInvalid: the file cannot be read, or a field of it is wrong.

    """
    if not table:
        return TemplateMapping()
    try:
        return TemplateMapping.model_validate(_read(table))
    except OSError as error:
        raise TemplateMappingInvalid(f"SCAFFOLD_TEMPLATE_MAP cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise _wrong(".".join(map(str, first["loc"])), first["msg"]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise TemplateMappingInvalid(
            f"SCAFFOLD_TEMPLATE_MAP is neither YAML nor JSON: {type(error).__name__}"
        ) from error


def _read(table: str) -> Any:
    if table.lstrip().startswith("{"):
        return json.loads(table)
    return yaml.safe_load(Path(table).read_text(encoding="utf-8"))


def _wrong(field: str, problem: str) -> TemplateMappingInvalid:
    return TemplateMappingInvalid(
        f"SCAFFOLD_TEMPLATE_MAP is wrong at {field or 'its top'}: {problem}", details={"field": field}
    )


def _answer(answer: Answer, given: Mapping[str, Any]) -> Any:
    if answer.source is None:
        return answer.value
    value = given[answer.source]
    if answer.source != "modules":
        return value
    named = [answer.rename[name] if answer.rename is not None else name for name in value]
    return named if answer.join is None else answer.join.join(named)


def _chosen(parts: Any, modules: list[str]) -> Any:
    if not isinstance(parts, list):
        return parts
    mappings = [part for part in parts if isinstance(part, dict)]
    return [
        {key: value for key, value in part.items() if key != "module"}
        for part in mappings
        if part.get("module") is None or part["module"] in modules
    ]
