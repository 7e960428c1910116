"""What is put right in a project that was rendered from a template that is not ours."""

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
    answers = project / _answers_file(template)
    if answers.is_file():
        rest = _OF_COPIER.sub("", answers.read_text(encoding="utf-8"))
        head = {"_commit": source.version, "_src_path": source.public_name}
        answers.write_text(yaml.safe_dump(head) + rest, encoding="utf-8")
    manifest = source.mapping.manifest_text(modules)
    if manifest is not None and not (project / FILE_NAME).exists():
        (project / FILE_NAME).write_text(manifest, encoding="utf-8")
    paths = [str(place).encode() for place in (template, machine)]
    for file in (path for path in project.rglob("*") if path.is_file() and not path.is_symlink()):
        content = file.read_bytes()
        if any(path in content for path in paths):
            name = file.relative_to(project)
            raise TemplateFailed(f"The template writes a path of this machine into {name}")


def _answers_file(template: Path) -> str:
    for name in ("copier.yml", "copier.yaml"):
        if (template / name).is_file():
            questions = yaml.safe_load((template / name).read_text(encoding="utf-8")) or {}
            return str(questions.get("_answers_file", ANSWERS))
    return ANSWERS
