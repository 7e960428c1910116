"""A sign of life: a file that a process renews while it does its work, for whoever watches its container."""

import os
from pathlib import Path
from typing import Final

#: Names the file; without it nobody watches. `orchestrator/probe.py` asks how old it is.
VARIABLE: Final = "ALIVE_FILE"


def renew() -> None:
    """Say that this process works; nothing where nobody watches."""
    if path := os.environ.get(VARIABLE):
        Path(path).touch()
