"""Projects as people call them: by id, or by the slug that stands in every address and message."""

from uuid import UUID

from worker_image.cli.api import Api, ApiError


def project_id(api: Api, word: str) -> str:
    """Return the id of a project that is named by its id or its slug.

    Raises:
        ApiError: there is none of that slug, or the API cannot be asked.
    """
    try:
        return str(UUID(word))
    except ValueError:
        pass
    found = api.get("/api/projects/", slug=word)["results"]
    if not found:
        raise ApiError("not_found", f"There is no project {word!r}; `orchestrator project list` has yours.")
    return str(found[0]["id"])
