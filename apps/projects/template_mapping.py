"""How the answers of a project become the answers of a template that is not ours, and its missing manifest.

A file that the settings name holds the table:

    answers:
      project_name: {from: slug}
      modules: {from: modules, join: ",", words: {backend: backend, telegram: tg_bot}}
      author_name: {value: Nobody}
    manifest:            # written as project.yaml when the template brings none
      version: 1
      commands: {setup: make setup, check: make check, tests: make list-tests}
      services:
        - {module: backend, name: backend, run: make run, port: web, health: /health}

Services and variables with `module` are kept when that module was chosen; `modules` is filled in.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from apps.errors import Invalid


class TemplateMappingInvalid(Invalid):
    """The table that maps answers to the configured template cannot be used."""

    code = "template_mapping_invalid"


class Answer(BaseModel):
    """Where one answer comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)

    source: Literal["name", "slug", "description", "modules"] | None = Field(default=None, alias="from")
    value: str | int | bool | None = None
    join: str | None = None  # of modules: one text instead of a list
    words: dict[str, str] | None = None  # of modules: what the template calls them; no other can be chosen

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.source is None) == (self.value is None):
            raise ValueError("needs either from or value")
        if self.source != "modules" and (self.join is not None or self.words is not None):
            raise ValueError("join and words belong to modules")
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
        tables = [set(answer.words) for answer in self.answers.values() if answer.words is not None]
        return frozenset.intersection(*map(frozenset, tables)) if tables else None

    def data(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the template's answers.

        Args:
            given: name, slug and description as texts, modules as a list of texts.

        """
        return {key: _answer(answer, given) for key, answer in self.answers.items()}

    def manifest_text(self, modules: Iterable[str]) -> str | None:
        """Return the manifest for a choice of modules, if the table has one."""
        if self.manifest is None:
            return None
        chosen = list(modules)
        kept = {
            key: _chosen(value, chosen) if key in ("services", "environment") else value
            for key, value in self.manifest.items()
        }
        return yaml.safe_dump({**kept, "modules": chosen}, sort_keys=False, allow_unicode=True)


def load_mapping(path: Path | None) -> TemplateMapping:
    """Read a table; without a file, the one that asks our own questions.

    Raises:
        TemplateMappingInvalid: the file cannot be read, or a field of it is wrong.

    """
    if path is None:
        return TemplateMapping()
    try:
        return TemplateMapping.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise TemplateMappingInvalid(
            f"The mapping of the template cannot be read: {error.strerror}"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TemplateMappingInvalid(f"The mapping of the template is not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise TemplateMappingInvalid(
            f"The mapping of the template is wrong at {field or 'its top'}: {first['msg']}",
            details={"field": field},
        ) from None


def _answer(answer: Answer, given: Mapping[str, Any]) -> Any:
    if answer.source is None:
        return answer.value
    value = given[answer.source]
    if answer.source != "modules":
        return value
    named = [answer.words[name] if answer.words is not None else name for name in value]
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
