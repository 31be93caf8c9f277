"""n-gram language models: ARPA files, their tables, and training with modified Kneser-Ney."""
