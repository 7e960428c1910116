"""How the project gets to its server."""
