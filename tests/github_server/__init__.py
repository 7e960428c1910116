"""A GitHub of our own for tests: stateful, over HTTP, in its wire format, with real git and a real runner.

It keeps what it is told, enforces what the real one enforces (permissions of tokens, protection of
branches, validity of requests) and refuses loudly what it does not know, so that a test cannot
succeed against behavior that was only imagined. Start with `server.github_server`; `stage.Stage` holds
the switches that make it behave badly.
"""
