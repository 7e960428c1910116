"""Where projects run: servers, ports and deployments."""
