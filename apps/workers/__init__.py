"""Coding agents at work: workers, their turns, the result channel, and verification of what they claim."""
