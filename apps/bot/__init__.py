"""The chat front end."""
