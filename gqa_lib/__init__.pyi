__version__: str

from . import arguments as arguments
from . import attention as attention
from . import bench as bench
from . import cache as cache
from . import cli as cli
from . import compare as compare
from . import configs as configs
from . import cost as cost
from . import course as course
from . import explore as explore
from . import hardware as hardware
from . import heads as heads
from . import kernels as kernels
from . import learn as learn
from . import measure as measure
from . import model as model
from . import plots as plots
from . import processes as processes
from . import records as records
from . import serving as serving
from . import train as train
