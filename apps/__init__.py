"""The applications: projects, workers and infra below, graph above them, bot on top."""
