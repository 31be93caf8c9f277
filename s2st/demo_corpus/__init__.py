"""The embedded corpus of ``s2st demo``: an English and French grammar written for this project."""

from .grammar import DemoCorpus, Pair, generate_corpus

__all__ = ["DemoCorpus", "Pair", "generate_corpus"]
