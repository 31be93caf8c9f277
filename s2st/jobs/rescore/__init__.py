"""The job of `s2st rescore-nbest`: score n-best lists, tune weights, rank, write, report."""
