"""Bounds of this app that no operator needs to change, each defined once."""

from typing import Final

#: Seconds that a worker may live between two turns.
IDLE_SECONDS: Final = 900
#: Seconds that a turn gets beyond its agent's timeout: to wait for the worker, to upload, to report.
REPORT_SECONDS: Final = 90
#: What one worker may have in the shared storage at a time.
MAX_SNAPSHOTS: Final = 500
MAX_SNAPSHOT_BYTES: Final = 1024**3
#: How often one worker may speak to its person.
MAX_MESSAGES: Final = 1_000
#: After how many days without use an image is removed.
IMAGE_MAX_AGE_DAYS: Final = 7
