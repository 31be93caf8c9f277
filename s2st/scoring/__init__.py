"""Layer 4: scorers, the only view that search and rescoring have of models."""
