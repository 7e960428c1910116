"""The rehearsal Product Owner: deterministic, no model, labelled so in everything it says.

It reads a handful of requests in English and Russian (build, change, status, stop), asks for what is missing,
and does everything by the `orchestrator` command with its worker's token, like any other Product Owner. What
it tells are facts out of the command's answers.
"""
