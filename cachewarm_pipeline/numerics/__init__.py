"""Numerical routines that several stages share: arrays and numbers in, arrays and numbers out, no datasets and no I/O.

    binomial_bounds      binomial tail, Clopper-Pearson bounds, bounds for trials that come in clusters (scipy.special)
    nearest_neighbours   the k nearest entries of many queries by cosine: exact in blocks, or a faiss index whose recall
                         is measured

`match_rules` certifies thresholds with the bounds, `freshness` puts an interval around change rates, `proof` bounds
wrong-hit rates; `candidates`, `planning`, `match_rules` and `proof` look for neighbours. scipy and faiss are imported
inside the functions that need them, so that loading the definitions or the command line does not pay for them.
"""
