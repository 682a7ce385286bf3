"""A recording as a place to walk in, forwards and backwards.

Reading order: timeline (what one can do), explorer (a machine that can be anywhere), checkpoints, conditions, moments.
"""
