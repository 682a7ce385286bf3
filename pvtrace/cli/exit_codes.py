"""What the shell is told.

0 ended well (shutdown, exit port 0, idle for ever, --until), 1 the guest failed, there is what --fail-on names, or what
no rule explains between two recordings (diff),
124 --timeout, 130 Ctrl-C; and, by the class of the error (see pvtrace.model.errors): 2 usage, 3 bad input, 4 the replay
diverged.
"""

WELL = 0
GUEST_FAILED = 1
FOUND = 1
"""As grep and diff end: what was asked for is there."""
TIMED_OUT = 124
"""As timeout(1) ends."""
INTERRUPTED = 130
"""As a shell says it: 128 + SIGINT."""
