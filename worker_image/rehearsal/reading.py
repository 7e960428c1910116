"""Reads resources back out of the code of a checkout, in the style in which `code` writes them."""

import ast
import re
from pathlib import Path
from typing import Final

from worker_image.rehearsal import naming
from worker_image.rehearsal.code_types import KIND_OF_SCHEMA
from worker_image.rehearsal.spec import Field, Kind, Refusal, Resource

RESOURCES = Path("app/resources")
_MODULES: Final = re.compile(r"^modules: \[(.*)\]$", re.MULTILINE)


def lacks_backend(checkout: Path) -> bool:
    """Tell whether this is a project without the module that resources belong to."""
    manifest = checkout / "project.yaml"
    # As our template writes it; a project of another make may keep its resources wherever it likes.
    listed = _MODULES.search(manifest.read_text(encoding="utf-8")) if manifest.is_file() else None
    return listed is not None and "backend" not in re.findall(r"[a-z]+", listed[1])


def list_resources(checkout: Path) -> frozenset[str]:
    """Return the plurals of the resources of a project."""
    return frozenset(path.parent.name for path in (checkout / RESOURCES).glob("*/router.py"))


def read_resource(checkout: Path, plural: str) -> Resource:
    """Return a resource as its models and schemas describe it.

    Raises:
        Refusal: `code_not_readable`, it is not written as this agent writes.

    """
    package = checkout / RESOURCES / plural
    try:
        model = _only_class(package / "models.py")
        columns = _annotated(model)
        sent = _annotated(_class(package / "schemas.py", f"{model.name}Create"))
        # The columns have the order in which fields came to be.
        names = [name for name in columns if name != "id"]
        fields = tuple(_field(name, columns[name], sent[name]) for name in names)
    except (OSError, SyntaxError, ValueError, LookupError) as error:
        raise Refusal(
            "code_not_readable", f"{plural} is not written the way the rehearsal agent writes resources"
        ) from error
    return Resource(singular=naming.snake_case(model.name), plural=plural, fields=fields)


def _classes(path: Path) -> list[ast.ClassDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in tree.body if isinstance(node, ast.ClassDef)]


def _only_class(path: Path) -> ast.ClassDef:
    (found,) = _classes(path)
    return found


def _class(path: Path, name: str) -> ast.ClassDef:
    (found,) = [node for node in _classes(path) if node.name == name]
    return found


def _annotated(node: ast.ClassDef) -> dict[str, ast.AnnAssign]:
    return {
        item.target.id: item
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }


def _field(name: str, column: ast.AnnAssign, sent: ast.AnnAssign) -> Field:
    schema = ast.unparse(sent.annotation).removesuffix(" | None")
    kind = KIND_OF_SCHEMA[schema]
    return Field(
        name=name,
        kind=kind,
        required=sent.value is None and kind not in (Kind.BOOLEAN, Kind.CODE),
        unique=column.value is not None and "unique=True" in ast.unparse(column.value),
        nullable="| None" in ast.unparse(column.annotation),
    )
