"""n-gram language models: ARPA files, lookup tables, training with modified Kneser-Ney."""
