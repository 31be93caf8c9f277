"""Layer 6: choosing among the hypotheses of n-best lists: BLEU statistics, tuning, the oracle."""
