"""Layer 8: the command line, the only place that knows click or rich."""
