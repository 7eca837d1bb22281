"""Evaluation: windows of one length, sources apart, controls in every table.

`inputs` reads windows, `protocol` splits them, `windows` holds a set of them as arrays, `targets` names the pairs that
each figure is about, `measure` takes the figures with their bootstrap replicates, `clustering` sweeps thresholds,
`summary` averages splits and `plots` draws. `measuring` is `telescope evaluate` within one telescope.
"""
