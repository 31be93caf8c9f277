"""Layer 4: scorers, the only thing that search and rescoring see of models."""
