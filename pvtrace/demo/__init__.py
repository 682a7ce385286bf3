"""Small guests to record, learn from and begin with: their sources, the built files, and the kit for a new one.

Nothing of pvtrace is imported here.
"""
