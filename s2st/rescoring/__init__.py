"""Layer 5, the mathematics of rescoring: feature weights, BLEU statistics, tuners, the oracle."""
