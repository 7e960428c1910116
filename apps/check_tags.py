"""Groups of system checks of ours, for commands that need not check everything."""

from typing import Final

#: Checks of what the settings say. All others look at the code, and import the web's URLs and the admin.
SETTINGS: Final = "settings"
