"""How well similarities distinguish sources and organisations, and how well clusters agree with them.

`pairs`, `neighbours`, `clusters` and `bootstrap` have plain functions of arrays. `modules` turns them into modules for
`evaluate.load` and Spaces for the Hub. Each folder can be given to `evaluate.load` as a path.
"""
