"""What is put right in a project that was rendered from a template that is not ours."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml

from apps.projects.manifest_parts import FILE_NAME
from apps.projects.template_errors import TemplateFailed
from apps.projects.template_source import TemplateSource

ANSWERS: Final = ".copier-answers.yml"
_OF_COPIER = re.compile(r"^(_src_path|_commit):.*\n(?:[ \t].*\n)*", re.MULTILINE)


def finish(
    project: Path, template: Path, *, source: TemplateSource, modules: Sequence[str], machine: Path
) -> None:
    """Name the source in the answers as others know it, and write the manifest that is missing.

    Args:
        project: the directory that was rendered.
        template: the directory it was rendered from.
        source: that template, with its mapping.
        modules: what was chosen, in our words.
        machine: another directory whose path must not be written down.

    Raises:
        TemplateFailed: a file holds a path of this machine, so it would never be rendered alike again.

    """
    answers = _answers_file(project, template)
    if answers is not None:
        rest = _OF_COPIER.sub("", answers.read_text(encoding="utf-8"))
        head = {"_commit": source.version, "_src_path": source.public_name}
        answers.write_text(yaml.safe_dump(head) + rest, encoding="utf-8")
    manifest = source.mapping.manifest_text(modules)
    if manifest is not None and not os.path.lexists(project / FILE_NAME):
        (project / FILE_NAME).write_text(manifest, encoding="utf-8")
    paths = [str(place).encode() for place in (template, machine)]
    for file in (path for path in project.rglob("*") if path.is_file() and not path.is_symlink()):
        content = file.read_bytes()
        if any(path in content for path in paths):
            name = file.relative_to(project)
            raise TemplateFailed(f"The template writes a path of this machine into {name}")


def _answers_file(project: Path, template: Path) -> Path | None:
    """Find the answers that were written; their name is the template's word, so it is not trusted."""
    name = ANSWERS
    for questions in (template / "copier.yml", template / "copier.yaml"):
        if questions.is_file():
            parsed = yaml.safe_load(questions.read_text(encoding="utf-8"))
            name = str(parsed.get("_answers_file", ANSWERS)) if isinstance(parsed, dict) else ANSWERS
    path = project / name
    is_inside = path.resolve().is_relative_to(project.resolve()) and not path.is_symlink()
    return path if is_inside and path.is_file() else None
