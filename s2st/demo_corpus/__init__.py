"""The small English-French corpus of `s2st demo`, stored as package data."""

from .read_pairs import DemoCorpus, Pair, read_corpus

__all__ = ["DemoCorpus", "Pair", "read_corpus"]
