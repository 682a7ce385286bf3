"""The command line: parse, call the session layer, print. What a command means lives below, never here.

`main` holds the table of commands; each command has a file of its own, loaded only when it is used.
"""
