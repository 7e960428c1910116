"""The plan's milestone: real agents in real containers, through the whole control plane."""
