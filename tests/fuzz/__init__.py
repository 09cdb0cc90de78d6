"""A fuzzer for cards that knows what registers, rings, descriptors and frames look like.

`python -m tests.fuzz` runs it; `tests/robustness` uses its `World`.  In this order: `world` (a card under watch),
`cases` (operation lists), `generate` and `families` (making them up), `run` (child processes), `minimise`.
"""
