"""Outgoing webhooks: strangers are told what happens to their projects."""
