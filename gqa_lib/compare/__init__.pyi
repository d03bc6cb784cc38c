from . import arms as arms
from . import checks as checks
from . import models as models
from . import step_table as step_table
from . import steps as steps
from . import table as table
from . import timing as timing
