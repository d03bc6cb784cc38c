from . import answers as answers
from . import extras as extras
from . import files as files
from . import manifest as manifest
from . import places as places
from . import variables as variables
