"""A recording as a place to walk in: to any step, forwards and backwards to what is looked for.

Reading order: timeline (what one can do), explorer (a machine that can be anywhere on one course of events), its three
courses: recorded, live (being recorded), branch (what would have been); search, conditions, checkpoints, moments.
"""
