"""A real browser that people's pages are tested with."""
