"""A walk over a recording as something that gdb can debug: gdbstub's Target over a Timeline. No protocol lives here."""
