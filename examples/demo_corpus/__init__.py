"""The English and French grammar that generated the corpus of `s2st demo`."""
