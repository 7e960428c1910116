"""The port to the git host and its adapters."""
