"""Those who rent servers to us: what they list, and what they can be asked to do to a server."""
