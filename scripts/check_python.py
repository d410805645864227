"""Says in one line when this Python is not the one mmse was tried with; stops where the pins cannot install."""

import sys

if sys.version_info[:2] == (3, 11):
    sys.exit(0)
found = ".".join(map(str, sys.version_info[:3]))
if not (3, 10) <= sys.version_info[:2] < (3, 13):
    sys.exit(f"mmse needs Python 3.10 to 3.12 (found {found}): make setup PYTHON=/path/to/python3.11")
print(f"warning: Python {found}; mmse was tried with 3.11 only")
