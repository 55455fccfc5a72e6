"""`python -m nas`, for where the command `nas` is not on the path."""

import sys

from nas.cli import main

if __name__ == "__main__":
    sys.argv[0] = "nas"  # a run records the command that made it
    main()
