"""One package per resource, each with a `router`; they are found, not listed."""

from importlib import import_module
from pkgutil import iter_modules

from fastapi import APIRouter


def load_routers() -> list[APIRouter]:
    """Import every resource and return its router, in the order of their names."""
    names = sorted(module.name for module in iter_modules(__path__) if module.ispkg)
    return [import_module(f"{__name__}.{name}.router").router for name in names]
