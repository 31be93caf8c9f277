"""The job of `s2st check`: findings about corpora, n-best lists, checkpoints and stores."""
