"""How well similarities tell sources and organisations apart, and how well clusters agree with them.

Plain functions of arrays are in `pairs`, `neighbours`, `clusters` and `bootstrap`. `modules` makes modules for
`evaluate.load` and Spaces for the Hub from them; each folder is what `evaluate.load` finds by its path.
"""
