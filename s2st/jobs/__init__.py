"""Layer 7: the jobs of the commands, callable from Python, and the work queue that they share."""
