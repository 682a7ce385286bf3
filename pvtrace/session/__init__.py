"""Where the parts are put together: a machine for a recording, the same one for its replay.

Composition and the order of things live here; what a machine, a tape or a trace does, does not.
"""
