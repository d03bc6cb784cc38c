"""How far a result may be from the one in float64: the table for library, benchmarks and checks."""

import torch

# L2 error over L2 norm that a kernel may have: mostly the rounding of its output.
RELATIVE_ERROR = {torch.float32: 5e-6, torch.bfloat16: 2.5e-3, torch.float16: 5e-4}
# Absolute and relative, element by element, on inputs of order one that were rounded to the dtype
# before: any backend or peer. In half precision scores of up to about 4, the softmax's weights and
# the output may each be rounded once; a wrong head or mask is off by about 1.
ELEMENTWISE = {
    torch.float64: 1e-9,
    torch.float32: 1e-5,
    torch.float16: 4e-3,
    torch.bfloat16: 3e-2,
}
# The same for a learner's code, which may round in more places.
LEARNERS = {
    torch.float64: 1e-9,
    torch.float32: 2e-5,
    torch.float16: 1e-2,
    torch.bfloat16: 6e-2,
}
