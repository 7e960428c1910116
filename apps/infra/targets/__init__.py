"""Where releases run: the port and its adapters."""
