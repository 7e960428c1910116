"""Rows of the chat front end; none yet."""
