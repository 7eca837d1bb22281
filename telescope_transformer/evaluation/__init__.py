"""Evaluation on windows of one length, split by source, with controls in every table.

`inputs` reads windows, `protocol` splits them, `windows` holds a set of them as arrays, `targets` defines the pairs
that each metric compares, `measure` computes the metrics with bootstrap replicates, `clustering` sweeps thresholds,
`summary` averages splits and `plots` draws. `within` is `telescope evaluate` within one telescope, `across` with
--across, and `actors` with --truth actor.
"""
