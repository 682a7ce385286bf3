"""The terminal UI: a recording on one screen, to walk in.

Reading order: model (what is shown), update (what a key does to it), lines and panes (how it looks), record (rows of
the recording), worker (what takes time), app (the terminal).
"""
