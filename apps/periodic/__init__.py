"""Periodic work: every run of it leaves a record."""
