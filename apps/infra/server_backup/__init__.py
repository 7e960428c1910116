"""What projects keep on a server: archived, brought back, and proven to come back."""
