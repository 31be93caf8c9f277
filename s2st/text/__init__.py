"""Text input and output: lines, compression, tokenizers, vocabularies, n-best lists, vectors."""
