"""Layer 6, training: options, optimizers, schedules, checkpoints with training state, trainer."""
