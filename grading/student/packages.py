"""Python runs this first in the sandbox, as `sitecustomize`: installed packages are found there.

They come after the standard library, as where they were installed, and none of their `.pth` files
is followed.
"""

import os
import sys

sys.path += [one for one in os.environ.get("PACKAGES", "").split(":") if one]
