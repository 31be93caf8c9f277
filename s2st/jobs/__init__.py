"""Layer 7: one file a job: train, translate, score, rescore, evaluate."""
