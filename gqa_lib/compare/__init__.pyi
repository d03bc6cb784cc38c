from . import arms as arms
from . import checks as checks
from . import table as table
from . import timing as timing
