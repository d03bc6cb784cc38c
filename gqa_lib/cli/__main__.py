"""`python -m gqa_lib.cli` is `gqa`."""

import sys

from .parser import main

sys.exit(main())
