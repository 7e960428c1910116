"""Where the edge listens on the workers' gateway."""

from typing import Final

API: Final = 7311
CHANNEL: Final = 7312
PROXY: Final = 7313
