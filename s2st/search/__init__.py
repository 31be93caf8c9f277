"""Layer 5: search strategies (registry). They see a `Scorer`, never a model."""
