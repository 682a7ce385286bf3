"""A server for the gdb remote serial protocol, with reverse execution. It knows nothing of what it serves.

Reading order: target (what you provide), session (bytes in, actions out), commands (the table from packet to ability),
server (the socket). The protocol is described in the gdb manual, appendix E; the names here are those used there.
"""
