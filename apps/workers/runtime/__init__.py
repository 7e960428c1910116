"""The port to whatever executes workers and checks: ``base`` is the port, one module per adapter."""
