"""What is done to the rows of one model, and how they are refused."""

import re
from collections.abc import Sequence
from typing import Any, TypeVar

from fastapi import HTTPException
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.database import Base

UNIQUE_VIOLATION = "23505"

Model = TypeVar("Model", bound=Base)


def list_records(session: Session, model: type[Model], *, limit: int, offset: int) -> Sequence[Model]:
    """Return rows in the order of their ids."""
    primary_key = model.__table__.primary_key.columns
    return session.scalars(select(model).order_by(*primary_key).limit(limit).offset(offset)).all()


def get_record(session: Session, model: type[Model], record_id: int) -> Model:
    """Return one row.

    Raises:
        HTTPException: 404, there is no such row.
    """
    record = session.get(model, record_id)
    if record is None:
        raise HTTPException(404, f"{model.__name__} {record_id} does not exist")
    return record


def create_record(session: Session, model: type[Model], values: BaseModel) -> Model:
    """Store a new row.

    Raises:
        HTTPException: 409, a unique value is taken.
    """
    record = model(**values.model_dump())
    session.add(record)
    _commit(session)
    return record


def replace_record(session: Session, model: type[Model], record_id: int, values: BaseModel) -> Model:
    """Give every field a new value; what was not sent gets its default.

    Raises:
        HTTPException: 404, there is no such row; 409, a unique value is taken.
    """
    return _assign(session, get_record(session, model, record_id), values.model_dump())


def update_record(session: Session, model: type[Model], record_id: int, changes: BaseModel) -> Model:
    """Change only the fields that were sent.

    Raises:
        HTTPException: 404, there is no such row; 409, a unique value is taken.
    """
    return _assign(session, get_record(session, model, record_id), changes.model_dump(exclude_unset=True))


def delete_record(session: Session, model: type[Model], record_id: int) -> None:
    """Delete one row.

    Raises:
        HTTPException: 404, there is no such row.
    """
    session.delete(get_record(session, model, record_id))
    _commit(session)


def _assign(session: Session, record: Model, values: dict[str, Any]) -> Model:
    for name, value in values.items():
        setattr(record, name, value)
    _commit(session)
    return record


def _commit(session: Session) -> None:
    try:
        session.commit()
    except IntegrityError as refusal:
        session.rollback()
        names = _taken(refusal)
        if names is None:
            raise
        raise HTTPException(409, f"{names}: this value is already taken") from refusal


def _taken(refusal: IntegrityError) -> str | None:
    """Return the columns whose values have to be unique and are not; None if something else was refused."""
    diagnosis = getattr(refusal.orig, "diag", None)
    if diagnosis is not None:  # PostgreSQL: Key (name, other)=(...) already exists.
        match = re.match(r"Key \((.*?)\)=", diagnosis.message_detail or "")
        return match[1] if match and diagnosis.sqlstate == UNIQUE_VIOLATION else None
    kind, _, columns = str(refusal.orig).partition(": ")
    if kind != "UNIQUE constraint failed":
        return None
    return ", ".join(name.rpartition(".")[2] for name in columns.split(", "))
