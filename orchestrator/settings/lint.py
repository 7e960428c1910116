"""Settings for tools that need Django but no services: mypy, the schema export, the migrations check."""

import os

_PLACEHOLDERS = {
    "SECRET_KEY": "lint",
    "DATABASE_URL": "postgresql://lint@127.0.0.1:1/lint",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "CHANNEL_REDIS_URL": "redis://127.0.0.1:2/0",
    "ENCRYPTION_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
}
for _name, _value in _PLACEHOLDERS.items():
    os.environ.setdefault(_name, _value)

from orchestrator.settings import base
from orchestrator.settings.base import *

# Nothing answers at that address: fail at once rather than wait for a pool.
DATABASES = {"default": {**base.DATABASES["default"], "OPTIONS": {"connect_timeout": 1}}}
