"""Writes the code of a resource. Pure: a resource in, the text of its files out."""

from worker_image.rehearsal.code_tests import render_tests
from worker_image.rehearsal.code_types import CODE_TYPES, article, is_shortener, words
from worker_image.rehearsal.spec import Field, Kind, Resource

LINE_LENGTH = 110


def render(resource: Resource) -> dict[str, str]:
    """Return path -> text of every file of a resource."""
    package = f"app/resources/{resource.plural}"
    return {
        f"{package}/__init__.py": f'"""{_title(resource)}: rows, schemas and routes."""\n',
        f"{package}/models.py": _wrapped(_models(resource)),
        f"{package}/schemas.py": _wrapped(_schemas(resource)),
        f"{package}/router.py": _wrapped(_router(resource)),
        f"tests/test_{resource.plural}.py": _wrapped(render_tests(resource)),
    }


def _wrapped(code: str) -> str:
    """Break the signatures and imports that a long name made too long."""
    return "\n".join(map(_wrapped_line, code.split("\n")))


def _wrapped_line(line: str) -> str:
    if len(line) <= LINE_LENGTH:
        return line
    if line.startswith("from "):
        start, _, names = line.partition(" import ")
        return f"{start} import (\n" + "".join(f"    {name},\n" for name in names.split(", ")) + ")"
    if line.startswith("def "):
        start, _, rest = line.partition("(")
        arguments, _, end = rest.rpartition(")")
        return f"{start}(\n    {arguments}\n){end}"
    return line


def _title(resource: Resource) -> str:
    return words(resource.plural).capitalize()


def _kinds(resource: Resource) -> set[Kind]:
    return {field.kind for field in resource.fields}


def _imports(*lines: str | None) -> str:
    return "".join(f"{line}\n" for line in lines if line is not None)


def _models(resource: Resource) -> str:
    kinds = _kinds(resource)
    needs_dates = Kind.DATE in kinds or Kind.DATETIME in kinds
    head = f'"""Stored {words(resource.plural)}."""\n\n'
    head += "import datetime as dt\n\n" if needs_dates else ""
    head += _imports(
        "from sqlalchemy import false" if Kind.BOOLEAN in kinds else None,
        "from sqlalchemy.orm import Mapped, mapped_column\n",
        "from app.columns import UtcDateTime" if Kind.DATETIME in kinds else None,
        "from app.database import Base",
    )
    columns = "".join(f"    {field.name}: {_column(field)}\n" for field in resource.fields)
    return (
        f"{head}\n\nclass {resource.class_name}(Base):\n"
        f'    """One {words(resource.singular)}."""\n\n'
        f'    __tablename__ = "{resource.plural}"\n\n'
        f"    id: Mapped[int] = mapped_column(primary_key=True)\n{columns}"
    )


def _column(field: Field) -> str:
    arguments = ["UtcDateTime"] if field.kind is Kind.DATETIME else []
    if field.kind is Kind.BOOLEAN:
        arguments += ["default=False", "server_default=false()"]
    if field.unique:
        arguments += ["unique=True", "index=True"]
    mapped = f"Mapped[{CODE_TYPES[field.kind].python}{' | None' if field.nullable else ''}]"
    return f"{mapped} = mapped_column({', '.join(arguments)})" if arguments else mapped


def _schemas(resource: Resource) -> str:
    kinds = _kinds(resource)
    dates = "import datetime as dt\n\n" if Kind.DATE in kinds or Kind.DATETIME in kinds else ""
    names = {"Payload", "Record"} | {CODE_TYPES[kind].schema for kind in kinds}
    names |= {"new_code"} if Kind.CODE in kinds else set()
    names |= {"OMITTED"} if any(not _may_be_null(field) for field in resource.fields) else set()
    imported = "from app.fields import " + ", ".join(sorted(names, key=_isort_key))
    name, one = resource.class_name, article(resource.singular)
    pydantic = "from pydantic import Field\n\n" if Kind.CODE in kinds else ""
    created = "".join(f"    {field.name}: {_sent(field)}\n" for field in _required_first(resource))
    changed = "".join(f"    {field.name}: {_changed(field)}\n" for field in resource.fields)
    read = "".join(f"    {field.name}: {_read(field)}\n" for field in resource.fields)
    return (
        f'"""What clients send and get for {words(resource.plural)}."""\n\n'
        f"{dates}{pydantic}{imported}\n\n\n"
        f'class {name}Create(Payload):\n    """{one.capitalize()} to store."""\n\n{created}\n\n'
        f'class {name}Update(Payload):\n    """Changes to {one}; what is not sent stays."""\n\n{changed}\n\n'
        f'class {name}Read(Record):\n    """A stored {words(resource.singular)}."""\n\n{read}'
    )


def _isort_key(name: str) -> tuple[int, str]:
    """Order names as the project's linter does: constants, classes, functions."""
    return (0 if name.isupper() else 2 if name.islower() else 1), name


def _required_first(resource: Resource) -> list[Field]:
    return sorted(resource.fields, key=lambda field: not field.required)


def _may_be_null(field: Field) -> bool:
    return field.nullable and not field.required


def _sent(field: Field) -> str:
    written = CODE_TYPES[field.kind].schema
    if field.kind is Kind.BOOLEAN:
        return f"{written} = False"
    if field.kind is Kind.CODE:
        return f"{written} = Field(default_factory=new_code)"
    return f"{written} | None = None" if not field.required else written


def _changed(field: Field) -> str:
    written = CODE_TYPES[field.kind].schema
    return f"{written} | None = None" if _may_be_null(field) else f"{written} = OMITTED"


def _read(field: Field) -> str:
    return CODE_TYPES[field.kind].python + (" | None" if field.nullable else "")


def _router(resource: Resource) -> str:
    name, one, many, path = resource.class_name, resource.singular, resource.plural, resource.path
    shortens = is_shortener(resource)
    imports = _imports(
        "from collections.abc import Sequence\n",
        f"from fastapi import APIRouter{', HTTPException' if shortens else ''}",
        "from fastapi.responses import RedirectResponse" if shortens else None,
        "from sqlalchemy import select" if shortens else None,
        "\nfrom app import crud",
        "from app.database import SessionDep",
        "from app.fields import Limit, Offset, RecordId",
        f"from app.resources.{many}.models import {name}",
        f"from app.resources.{many}.schemas import {name}Create, {name}Read, {name}Update",
    )
    tail = _SHORTENER.format(name=name, one=one) if shortens else ""
    return (
        f'"""Routes of {words(many)}."""\n\n{imports}\nrouter = APIRouter(tags=["{words(many)}"])\n'
        + _ROUTES.format(
            name=name, one=one, many=many, a_one=article(one), path=path, words=words(many), word=words(one)
        )
        + tail
    )


_ROUTES = '''

@router.get("{path}", response_model=list[{name}Read])
def list_{many}(session: SessionDep, limit: Limit = 100, offset: Offset = 0) -> Sequence[{name}]:
    """List {words} in the order they were stored."""
    return crud.list_records(session, {name}, limit=limit, offset=offset)


@router.post("{path}", response_model={name}Read, status_code=201)
def create_{one}(values: {name}Create, session: SessionDep) -> {name}:
    """Store {a_one}."""
    return crud.create_record(session, {name}, values)


@router.get("{path}/{{record_id}}", response_model={name}Read)
def read_{one}(record_id: RecordId, session: SessionDep) -> {name}:
    """Return one {word}."""
    return crud.get_record(session, {name}, record_id)


@router.put("{path}/{{record_id}}", response_model={name}Read)
def replace_{one}(record_id: RecordId, values: {name}Create, session: SessionDep) -> {name}:
    """Give every field of {a_one} a new value."""
    return crud.replace_record(session, {name}, record_id, values)


@router.patch("{path}/{{record_id}}", response_model={name}Read)
def update_{one}(record_id: RecordId, changes: {name}Update, session: SessionDep) -> {name}:
    """Change the fields of {a_one} that are sent."""
    return crud.update_record(session, {name}, record_id, changes)


@router.delete("{path}/{{record_id}}", status_code=204)
def delete_{one}(record_id: RecordId, session: SessionDep) -> None:
    """Delete {a_one}."""
    crud.delete_record(session, {name}, record_id)
'''
_SHORTENER = '''

@router.get("/go/{{code}}", response_class=RedirectResponse, status_code=307)
def follow_{one}(code: str, session: SessionDep) -> str:
    """Lead to the address behind a code."""
    url = session.scalar(select({name}.url).where({name}.code == code))
    if url is None:
        raise HTTPException(404, "No link has this code")
    return url
'''
