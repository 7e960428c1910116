"""What a person sees who opens the address of the service."""

from fastapi import APIRouter
from fastapi.responses import RedirectResponse

router = APIRouter(include_in_schema=False)


@router.get("/")
def read_root() -> RedirectResponse:
    """Lead to the interactive documentation; the relative address holds behind a proxy's path, too."""
    return RedirectResponse("docs")
