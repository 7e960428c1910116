"""Recordings of real agents and what their liveness must be judged to be."""
