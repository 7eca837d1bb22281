"""How well similarities tell sources and organisations apart, and how well clusters agree with them.

Plain functions of arrays live in `pairs`, `neighbours`, `clusters` and `bootstrap`; each folder is a module for
`evaluate.load` and for a Space on the Hub, a thin wrapper over them.
"""
