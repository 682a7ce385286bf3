"""Run a command and say in JSON what it took: seconds on the wall and of all CPUs, and the most memory at one time.

A small process of its own, for a process inherits the greatest memory of the one that starts it.

Usage: python bench/watched.py COMMAND...
"""

import json
import resource
import subprocess
import sys
import time


def main() -> None:
    """`memory` in bytes."""
    begun = time.perf_counter()
    subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    wall = time.perf_counter() - begun
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "memory": used.ru_maxrss * 1024}
    sys.stdout.write(json.dumps(took))


if __name__ == "__main__":
    main()
