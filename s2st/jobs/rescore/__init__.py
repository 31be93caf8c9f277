"""The job of `s2st rescore-nbest`: read lists, score them, learn weights, rank, write, report."""
