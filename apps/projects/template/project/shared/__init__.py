"""What the services without an address have in common."""
