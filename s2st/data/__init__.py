"""Layer 2: text to ids on disk (prepare, store) and ids to batches (batching, loader)."""
