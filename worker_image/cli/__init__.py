"""``orchestrator``: the command line of people and of agents, over the REST API alone."""
