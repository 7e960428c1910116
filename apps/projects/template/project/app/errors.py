"""What clients see when a request is refused."""

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError

logger = logging.getLogger(__name__)


def register(app: FastAPI) -> None:
    """Install the handlers."""
    app.add_exception_handler(RequestValidationError, _refuse_input)
    app.add_exception_handler(OperationalError, _refuse_for_now)


async def _refuse_input(_request: Request, error: Exception) -> JSONResponse:
    """Name the field and the reason, without the input: it may not be expressible in JSON."""
    assert isinstance(error, RequestValidationError)
    detail = [{key: item[key] for key in ("type", "loc", "msg")} for item in error.errors()]
    return JSONResponse({"detail": detail}, status_code=422)


async def _refuse_for_now(request: Request, error: Exception) -> JSONResponse:
    """Answer 503 when the database is locked for too long or its disk is full."""
    logger.error("Database refused %s %s: %s", request.method, request.url.path, error)
    return JSONResponse({"detail": "The database does not answer; try again later"}, 503)
