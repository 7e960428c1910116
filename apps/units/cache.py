"""The package cache as a unit may see it."""

import shutil
from pathlib import Path


def prepare(cache: Path, target: Path, uid: int | None) -> dict[str, str]:
    """Give a unit a package cache and return the variables that make installers use it."""
    if uid is None:
        cache.mkdir(parents=True, exist_ok=True)
        return {"UV_CACHE_DIR": str(cache)}
    target.mkdir(mode=0o700)
    shutil.chown(target, uid, uid)
    return {"UV_CACHE_DIR": str(target)}
