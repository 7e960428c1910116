"""The edge: all that a worker's container can reach, on the gateway of the workers' bridge and nowhere else.

One process with three listeners: a relay to the REST API, a relay to the result channel, and a proxy to
public addresses. It imports neither Django nor Docker: it finds its address by the name of the bridge's
interface, so a daemon or a network that goes away and comes back needs nobody's help.
"""
