"""Keeps secrets out of logs, as the real runner does: by their values, line by line."""


class Masker:
    """Replaces what it was told to hide."""

    def __init__(self, values: list[str]) -> None:
        self._hidden: set[str] = set()
        for value in values:
            self.hide(value)

    def hide(self, value: str) -> None:
        """Hide a value; one of several lines is hidden line by line."""
        self._hidden |= {line.strip() for line in [value, *value.splitlines()] if line.strip()}

    def mask(self, line: str) -> str:
        for value in sorted(self._hidden, key=len, reverse=True):
            line = line.replace(value, "***")
        return line
