"""Tells whether the service can do its work."""

from fastapi import APIRouter
from sqlalchemy import text

from app import about
from app.database import SessionDep

router = APIRouter(tags=["health"])


@router.get("/health")
def read_health(session: SessionDep) -> dict[str, str]:
    """Answer 200 when the database answers, else 503."""
    session.execute(text("SELECT 1"))
    return {"status": "ok", "service": about.SLUG}
