"""Settings of the tests: those of every process, with cheaper password hashes and no production shortcuts.

The servers' addresses come from the environment, which ``tests/conftest.py``
fills before Django starts.
"""

from orchestrator.settings.base import *

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LOG_LEVEL = "WARNING"
