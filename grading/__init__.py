"""nbgrader for this course: its configuration, the build, the learner's round."""

import os
import sys
from pathlib import Path

# nbgrader calls alembic by its bare name: let it find the one installed next to it
_bin = str(Path(sys.executable).parent)
if _bin not in os.environ.get("PATH", "").split(os.pathsep):
    os.environ["PATH"] = os.pathsep.join(filter(None, (_bin, os.environ.get("PATH"))))
