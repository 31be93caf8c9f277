"""Layer 6: training: options, optimisers, schedules, checkpoints with training state, trainer."""
