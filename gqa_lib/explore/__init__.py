"""One model on one device: what its cache costs, what bounds decoding, what sharing heads buys.

`explore(...)` prints and draws it, `explorer()` puts sliders around it. Everything is modelled from
`gqa_lib.cost`; nothing is measured here but the hardware's ceilings, if you measured them.
"""

from .estimate import Estimate, alternatives, estimate
from .explorer import explorer
from .figure import figure
from .show import explore, finding, table

__all__ = [
    "Estimate",
    "alternatives",
    "estimate",
    "explore",
    "explorer",
    "figure",
    "finding",
    "table",
]
