"""What runs inside a worker, without Django: the contract, the wrapper, the runners, the workspace."""
