"""`python -m pvtrace` is the command `pvtrace`."""

import sys

from pvtrace.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
