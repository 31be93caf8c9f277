"""Layer 1: text in and out: lines, tokenisers, vocabularies, Moses n-best lists."""
