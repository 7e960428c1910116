"""Finds the verdict that an agent puts between `<result>` and `</result>`."""

import json
from typing import Any

from worker_image.contract import MAX_RESULT_BYTES

OPENING = "<result>"
CLOSING = "</result>"


class ResultParseError(ValueError):
    """A result was begun but cannot be read."""


class ResultTooLarge(ResultParseError):
    """The text between the tags exceeds its limit."""


class ResultParser:
    """Reads the first result block of a text."""

    @staticmethod
    def parse(text: str) -> dict[str, Any] | None:
        """Return the JSON object of the first result block, or None if there is no block.

        Raises:
            ResultTooLarge: more than `MAX_RESULT_BYTES` between the tags.
            ResultParseError: no closing tag, broken JSON, or JSON that is not an object.

        """
        _, found, rest = text.partition(OPENING)
        if not found:
            return None
        block, closed, _ = rest.partition(CLOSING)
        if len(block.encode()) > MAX_RESULT_BYTES:
            raise ResultTooLarge(f"the result is larger than {MAX_RESULT_BYTES} bytes")
        if not closed:
            raise ResultParseError("the result has no closing tag")
        return _object(block)


def _object(block: str) -> dict[str, Any]:
    try:
        value = json.loads(block)
    except (ValueError, RecursionError) as error:
        raise ResultParseError(f"the result is not JSON: {type(error).__name__}") from error
    if not isinstance(value, dict):
        raise ResultParseError("the result is not a JSON object")
    return value
