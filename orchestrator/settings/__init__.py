"""Settings: base for every process, test and lint on top of it."""
