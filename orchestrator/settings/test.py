"""Settings of the tests: those of every process, with cheaper password hashes and a cheaper `flush`.

The servers' addresses come from the environment, which ``tests/plugin.py``
fills before Django starts.
"""

from orchestrator.settings import base
from orchestrator.settings.base import *

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
INSTALLED_APPS = [*base.INSTALLED_APPS, "tests.quick_flush"]
