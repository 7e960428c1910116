"""Starts the recorder where it may import the apps."""

import importlib
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings.lint")
django.setup()
sys.exit(importlib.import_module("tests.liveness.record").main())
