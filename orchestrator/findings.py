"""What a check of ``manage.py doctor`` found."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one check found."""

    name: str
    is_ok: bool
    text: str
    repair: str = ""
    is_optional: bool = False  # worth knowing, never red

    def line(self) -> str:
        """Return the one line that is printed."""
        mark = "ok  " if self.is_ok else ("note" if self.is_optional else "RED ")
        repair = f" → {self.repair}" if self.repair and not self.is_ok else ""
        return f"{mark} {self.name}: {self.text}{repair}"
