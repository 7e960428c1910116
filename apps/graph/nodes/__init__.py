"""The nodes of both flows: an effect under a derived key, or a look at a row, never both."""
