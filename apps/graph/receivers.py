"""Facts from the lower apps become wake-ups of the runs that wait for them."""


def connect() -> None:
    """Connect the receivers."""
