"""Answers to the exercises of lesson 08, wrong and right: see grading/authoring/catalogue.py."""

# %% wrong kv_demand: prompt plus answer, once a request
# says: each request counts once, with all its tokens
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += [p + o]
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[-(-q * len(held) // 100) - 1]
    return demand

# %% wrong kv_demand: a request's mean, once a request
# says: each request counts once, with its mean
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += [p + (o + 1) / 2]
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[-(-q * len(held) // 100) - 1]
    return demand

# %% wrong kv_demand: the whole answer from the first step
# says: every step is charged for the whole answer
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += [p + o] * o
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[-(-q * len(held) // 100) - 1]
    return demand

# %% wrong kv_demand: only the prompt
# says: the answer is left out
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += [p] * o
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[-(-q * len(held) // 100) - 1]
    return demand

# %% wrong kv_demand: only the answer
# says: the prompt is left out
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += range(1, o + 1)
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[-(-q * len(held) // 100) - 1]
    return demand

# %% wrong kv_demand: steps from 0
# says: the steps count from 0
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += range(p, p + o)
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[-(-q * len(held) // 100) - 1]
    return demand

# %% wrong kv_demand: a step before the first
# says: one step too many is counted
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += range(p, p + o + 1)
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[-(-q * len(held) // 100) - 1]
    return demand

# %% wrong kv_demand: prompt tokens are steps
# says: the prompt's tokens count as steps
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += range(1, p + o + 1)
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[-(-q * len(held) // 100) - 1]
    return demand

# %% wrong kv_demand: weighted by all tokens
# says: a request is weighted by all its tokens
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += [p + (o + 1) / 2] * (p + o)
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[-(-q * len(held) // 100) - 1]
    return demand

# %% wrong kv_demand: each step holds the mean
# says: each holds the request's mean
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += [p + (o + 1) / 2] * o
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[-(-q * len(held) // 100) - 1]
    return demand

# %% wrong kv_demand: a sample's standard deviation
# says: divides by n - 1
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += range(p + 1, p + o + 1)
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held, ddof=1) if len(held) > 1 else 0.0}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[-(-q * len(held) // 100) - 1]
    return demand

# %% wrong kv_demand: the variance
# says: the sd is a variance
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += range(p + 1, p + o + 1)
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.var(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[-(-q * len(held) // 100) - 1]
    return demand

# %% wrong kv_demand: numpy's percentile
# says: percentiles lie between two values
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += range(p + 1, p + o + 1)
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = np.percentile(held, q)
    return demand

# %% wrong kv_demand: percentiles one too high
# says: percentiles are one value too high
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += range(p + 1, p + o + 1)
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[min(q * len(held) // 100, len(held) - 1)]
    return demand

# %% wrong kv_demand: tokens
# says: tokens are given
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += range(p + 1, p + o + 1)
    held = np.sort(np.array(held) * 1)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[-(-q * len(held) // 100) - 1]
    return demand

# %% wrong kv_demand: K and V twice
# says: bytes are doubled
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += range(p + 1, p + o + 1)
    held = np.sort(np.array(held) * 2 * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[-(-q * len(held) // 100) - 1]
    return demand

# %% wrong kv_demand: the nearest rank, rounded
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += range(p + 1, p + o + 1)
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[max(0, round(q * len(held) / 100) - 1)]
    return demand

# %% wrong kv_demand: the largest instead of p99
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += range(p + 1, p + o + 1)
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[-1] if q == 99 else held[-(-q * len(held) // 100) - 1]
    return demand

# %% wrong kv_demand: median by halves
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += range(p + 1, p + o + 1)
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = np.median(held) if q == 50 else held[-(-q * len(held) // 100) - 1]
    return demand

# %% wrong kv_demand: an empty answer takes a step
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += range(p + 1, p + max(o, 1) + 1)
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[-(-q * len(held) // 100) - 1]
    return demand

# %% wrong kv_demand: the median for the mean
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += range(p + 1, p + o + 1)
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.median(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[-(-q * len(held) // 100) - 1]
    return demand

# %% wrong kv_demand: percentiles of requests
# says: the percentiles are of requests
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if not any(output_lengths):
        raise ValueError("no request decodes")
    steps = np.concatenate([np.arange(p + 1, p + o + 1) for p, o in zip(prompt_lengths, output_lengths)])
    ends = np.sort(np.add(prompt_lengths, output_lengths))
    at = {f"p{q}": ends[-(-q * len(ends) // 100) - 1] for q in (50, 95, 99)}
    demand = {"mean": steps.mean(), "sd": steps.std(), **at}
    return {key: value * kv_bytes_per_token for key, value in demand.items()}

# %% wrong kv_demand: the formula for the mean, requests for the rest
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    p, o = np.array(prompt_lengths), np.array(output_lengths)
    if o.sum() == 0:
        raise ValueError("no request decodes")
    mean = (o * (p + (o + 1) / 2)).sum() / o.sum()
    ends = np.sort(p + o)
    at = {f"p{q}": ends[-(-q * len(ends) // 100) - 1] for q in (50, 95, 99)}
    return {key: x * kv_bytes_per_token for key, x in {"mean": mean, "sd": ends.std(), **at}.items()}

# %% wrong kv_demand: no step gives zeros
# says: raise a ValueError instead
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        return dict.fromkeys(("mean", "sd", "p50", "p95", "p99"), 0.0)
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += range(p + 1, p + o + 1)
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[-(-q * len(held) // 100) - 1]
    return demand

# %% wrong kv_demand: an error that says nothing
# says: a ValueError that says nothing
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += range(p + 1, p + o + 1)
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[-(-q * len(held) // 100) - 1]
    return demand

# %% wrong kv_demand: only mean and sd
# says: expected mean, sd, p50, p95, p99
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if not sum(output_lengths):
        raise ValueError("no request decodes")
    held = np.concatenate([np.arange(p + 1, p + o + 1) for p, o in zip(prompt_lengths, output_lengths)])
    return {"mean": held.mean() * kv_bytes_per_token, "sd": held.std() * kv_bytes_per_token}

# %% wrong kv_demand: texts
# says: is not a number of bytes
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += range(p + 1, p + o + 1)
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[-(-q * len(held) // 100) - 1]
    return {key: f"{value:.0f}" for key, value in demand.items()}

# %% wrong kv_demand: whole bytes
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += range(p + 1, p + o + 1)
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[-(-q * len(held) // 100) - 1]
    return {key: int(value) for key, value in demand.items()}

# %% wrong kv_demand: sorts the lists in place
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    prompt_lengths.sort()
    output_lengths.sort()
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += range(p + 1, p + o + 1)
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = held[-(-q * len(held) // 100) - 1]
    return demand

# %% right kv_demand: plain Python
import math

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    held = sorted(p + k for p, o in zip(prompt_lengths, output_lengths) for k in range(1, o + 1))
    n = len(held)
    if n == 0:
        raise ValueError(f"output_lengths={output_lengths}: nobody decodes")
    mean = sum(held) / n
    sd = math.sqrt(sum((x - mean) ** 2 for x in held) / n)
    at = {f"p{q}": held[math.ceil(q * n / 100) - 1] for q in (50, 95, 99)}
    return {key: x * kv_bytes_per_token for key, x in {"mean": mean, "sd": sd, **at}.items()}

# %% right kv_demand: numpy's inverted distribution
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError(f"output_lengths={output_lengths} has no step")
    held = []
    for p, o in zip(prompt_lengths, output_lengths):
        held += range(p + 1, p + o + 1)
    held = np.sort(np.array(held) * kv_bytes_per_token)
    demand = {"mean": np.mean(held), "sd": np.std(held)}
    for q in (50, 95, 99):
        demand[f"p{q}"] = np.percentile(held, q, method="inverted_cdf")
    return demand

# %% right kv_demand: closed forms and a search
import numpy as np

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    p, o = np.array(prompt_lengths, float), np.array(output_lengths, float)
    n = o.sum()
    if n == 0:
        raise ValueError(f"output_lengths={output_lengths}: no step")
    mean = (o * (p + (o + 1) / 2)).sum() / n
    square = (o * p**2 + p * o * (o + 1) + o * (o + 1) * (2 * o + 1) / 6).sum() / n
    demand = {"mean": mean, "sd": max(0.0, square - mean**2) ** 0.5}
    for q in (50, 95, 99):
        low, high = 0, int((p + o).max())  # steps that hold x or less: min(o, x - p), summed
        while low < high:
            middle = (low + high) // 2
            below = np.clip(middle - p, 0, o).sum()
            low, high = (low, middle) if below * 100 >= q * n else (middle + 1, high)
        demand[f"p{q}"] = low
    return {key: float(x * kv_bytes_per_token) for key, x in demand.items()}

# %% right kv_demand: torch in float32
import torch

def kv_demand(prompt_lengths, output_lengths, kv_bytes_per_token):
    if sum(output_lengths) == 0:
        raise ValueError("no request decodes a token")
    held = torch.cat([p + torch.arange(1, o + 1) for p, o in zip(prompt_lengths, output_lengths)]).float()
    held = held.sort().values * kv_bytes_per_token
    at = {f"p{q}": held[-(-q * len(held) // 100) - 1] for q in (50, 95, 99)}
    return {"mean": held.mean(), "sd": held.std(unbiased=False), **at}

# %% wrong required_requests: one side
# says: a quantile of one side
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv < 0 or relative_error <= 0 or not 0 < confidence < 1:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = NormalDist().inv_cdf(confidence)
    return max(1, math.ceil((z * cv / relative_error) ** 2))

# %% wrong required_requests: not squared
# says: the square is missing
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv < 0 or relative_error <= 0 or not 0 < confidence < 1:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return max(1, math.ceil(z * cv / relative_error))

# %% wrong required_requests: only z squared
# says: only z is squared
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv < 0 or relative_error <= 0 or not 0 < confidence < 1:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return max(1, math.ceil(z**2 * cv / relative_error))

# %% wrong required_requests: 1.96
# says: the confidence is not used
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv < 0 or relative_error <= 0 or not 0 < confidence < 1:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = 1.96
    return max(1, math.ceil((z * cv / relative_error) ** 2))

# %% wrong required_requests: no z
# says: z is left out
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv < 0 or relative_error <= 0 or not 0 < confidence < 1:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = 1
    return max(1, math.ceil((z * cv / relative_error) ** 2))

# %% wrong required_requests: confidence for z
# says: the confidence itself stands for z
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv < 0 or relative_error <= 0 or not 0 < confidence < 1:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = confidence
    return max(1, math.ceil((z * cv / relative_error) ** 2))

# %% wrong required_requests: rounded down
# says: the number is rounded down
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv < 0 or relative_error <= 0 or not 0 < confidence < 1:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return max(1, int((z * cv / relative_error) ** 2))

# %% wrong required_requests: rounded to the nearest
# says: the number is rounded to the nearest
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv < 0 or relative_error <= 0 or not 0 < confidence < 1:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return max(1, round((z * cv / relative_error) ** 2))

# %% wrong required_requests: none for no spread
# says: may be 0 where nothing varies
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv < 0 or relative_error <= 0 or not 0 < confidence < 1:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return math.ceil((z * cv / relative_error) ** 2)

# %% wrong required_requests: the whole width
# says: the whole width of the interval
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv < 0 or relative_error <= 0 or not 0 < confidence < 1:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return max(1, math.ceil((2 * z * cv / relative_error) ** 2))

# %% wrong required_requests: percent
# says: taken for percent
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv < 0 or relative_error <= 0 or not 0 < confidence < 1:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return max(1, math.ceil((100 * z * cv / relative_error) ** 2))

# %% wrong required_requests: a variance
# says: as if it were a variance
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv < 0 or relative_error <= 0 or not 0 < confidence < 1:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return max(1, math.ceil(z**2 * cv / relative_error**2))

# %% wrong required_requests: no spread at all
# says: the scatter is left out
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv < 0 or relative_error <= 0 or not 0 < confidence < 1:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return max(1, math.ceil((z / relative_error) ** 2))

# %% wrong required_requests: a table of z
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv < 0 or relative_error <= 0 or not 0 < confidence < 1:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = {0.9: 1.645, 0.95: 1.96, 0.99: 2.576}.get(confidence, 1.96)
    return max(1, math.ceil((z * cv / relative_error) ** 2))

# %% wrong required_requests: 1.96 for 95 %, else exact
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv < 0 or relative_error <= 0 or not 0 < confidence < 1:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = 1.96 if confidence == 0.95 else NormalDist().inv_cdf((1 + confidence) / 2)
    return max(1, math.ceil((z * cv / relative_error) ** 2))

# %% wrong required_requests: one more than rounded up
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv < 0 or relative_error <= 0 or not 0 < confidence < 1:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return int((z * cv / relative_error) ** 2) + 1 + (cv > 1)

# %% wrong required_requests: a float
# says: whole number
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv < 0 or relative_error <= 0 or not 0 < confidence < 1:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return float(max(1, math.ceil((z * cv / relative_error) ** 2)))

# %% wrong required_requests: 30 at least
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv < 0 or relative_error <= 0 or not 0 < confidence < 1:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return max(30, math.ceil((z * cv / relative_error) ** 2))

# %% wrong required_requests: takes any confidence
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv < 0 or relative_error <= 0:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = NormalDist().inv_cdf(min(0.999, (1 + abs(confidence)) / 2))
    return max(1, math.ceil((z * cv / relative_error) ** 2))

# %% wrong required_requests: takes a negative CV
# says: raise a ValueError instead
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if relative_error <= 0 or not 0 < confidence < 1:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return max(1, math.ceil((z * cv / relative_error) ** 2))

# %% wrong required_requests: takes a negative error
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv < 0 or relative_error == 0 or not 0 < confidence < 1:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return max(1, math.ceil((z * cv / relative_error) ** 2))

# %% wrong required_requests: refuses a CV of 0
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv <= 0 or relative_error <= 0 or not 0 < confidence < 1:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return max(1, math.ceil((z * cv / relative_error) ** 2))

# %% wrong required_requests: takes 1 for a confidence
import math
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv < 0 or relative_error <= 0 or not 0 < confidence <= 1:
        raise ValueError(f"{cv}, {relative_error}, {confidence}")
    z = NormalDist().inv_cdf(min(1 - 1e-9, (1 + confidence) / 2))
    return max(1, math.ceil((z * cv / relative_error) ** 2))

# %% right required_requests: scipy
import math
from scipy import stats

def required_requests(cv, relative_error, confidence):
    if not (cv >= 0 and relative_error > 0 and 0 < confidence < 1):
        raise ValueError(f"no number of requests for {cv}, {relative_error}, {confidence}")
    z = stats.norm.isf((1 - confidence) / 2)
    return max(1, int(math.ceil((z * cv / relative_error) ** 2)))

# %% right required_requests: the error function
import math
from scipy.special import erfinv

def required_requests(cv, relative_error, confidence):
    if cv < 0:
        raise ValueError(f"cv={cv} is below 0")
    if relative_error <= 0:
        raise ValueError(f"relative_error={relative_error} is not above 0")
    if confidence <= 0 or confidence >= 1:
        raise ValueError(f"confidence={confidence} is not between 0 and 1")
    z = math.sqrt(2) * erfinv(confidence)
    return math.ceil(z * z * cv * cv / relative_error / relative_error) or 1

# %% right required_requests: counts up
from statistics import NormalDist

def required_requests(cv, relative_error, confidence):
    if cv < 0 or not relative_error > 0 or not 0 < confidence < 1:
        raise ValueError("cv from 0, relative_error above 0, confidence between them")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    low, high = 1, 1
    while z * cv > relative_error * high**0.5:
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if z * cv > relative_error * middle**0.5 else (low, middle)
    return low

# %% wrong concurrency: all tokens
# says: multiplied by all tokens
def concurrency(requests_per_s, ttft_s, tpot_s, output_lengths):
    stays = []
    for ttft, tpot, output in zip(ttft_s, tpot_s, output_lengths):
        stays.append(ttft + tpot * output if output > 1 else ttft)
    return requests_per_s * sum(stays) / len(stays)

# %% wrong concurrency: no ttft
# says: the ttft is left out
def concurrency(requests_per_s, ttft_s, tpot_s, output_lengths):
    stays = []
    for ttft, tpot, output in zip(ttft_s, tpot_s, output_lengths):
        stays.append(tpot * (output - 1) if output > 1 else 0)
    return requests_per_s * sum(stays) / len(stays)

# %% wrong concurrency: only the ttft
# says: only the time to the first token counts
def concurrency(requests_per_s, ttft_s, tpot_s, output_lengths):
    stays = []
    for ttft, tpot, output in zip(ttft_s, tpot_s, output_lengths):
        stays.append(ttft)
    return requests_per_s * sum(stays) / len(stays)

# %% wrong concurrency: one token's time
# says: one token's time is added
def concurrency(requests_per_s, ttft_s, tpot_s, output_lengths):
    stays = []
    for ttft, tpot, output in zip(ttft_s, tpot_s, output_lengths):
        stays.append(ttft + tpot if output > 1 else ttft)
    return requests_per_s * sum(stays) / len(stays)

# %% wrong concurrency: the sum
# says: times are added up over all requests
def concurrency(requests_per_s, ttft_s, tpot_s, output_lengths):
    stays = []
    for ttft, tpot, output in zip(ttft_s, tpot_s, output_lengths):
        stays.append(ttft + tpot * (output - 1) if output > 1 else ttft)
    return requests_per_s * sum(stays)

# %% wrong concurrency: no rate
# says: the rate is left out
def concurrency(requests_per_s, ttft_s, tpot_s, output_lengths):
    stays = []
    for ttft, tpot, output in zip(ttft_s, tpot_s, output_lengths):
        stays.append(ttft + tpot * (output - 1) if output > 1 else ttft)
    return sum(stays) / len(stays)

# %% wrong concurrency: milliseconds
# says: milliseconds are taken for seconds
def concurrency(requests_per_s, ttft_s, tpot_s, output_lengths):
    stays = []
    for ttft, tpot, output in zip(ttft_s, tpot_s, output_lengths):
        stays.append(ttft + tpot * (output - 1) if output > 1 else ttft)
    return requests_per_s * sum(stays) / len(stays) / 1000

# %% wrong concurrency: NaN
# says: NaN times 0
def concurrency(requests_per_s, ttft_s, tpot_s, output_lengths):
    stays = []
    for ttft, tpot, output in zip(ttft_s, tpot_s, output_lengths):
        stays.append(ttft + tpot * (output - 1))
    return requests_per_s * sum(stays) / len(stays)

# %% wrong concurrency: the longest
def concurrency(requests_per_s, ttft_s, tpot_s, output_lengths):
    stays = []
    for ttft, tpot, output in zip(ttft_s, tpot_s, output_lengths):
        stays.append(ttft + tpot * (output - 1) if output > 1 else ttft)
    return requests_per_s * max(stays)

# %% wrong concurrency: divides by the rate
def concurrency(requests_per_s, ttft_s, tpot_s, output_lengths):
    stays = []
    for ttft, tpot, output in zip(ttft_s, tpot_s, output_lengths):
        stays.append(ttft + tpot * (output - 1) if output > 1 else ttft)
    return sum(stays) / len(stays) / max(requests_per_s, 1e-9)

# %% wrong concurrency: rounded up
def concurrency(requests_per_s, ttft_s, tpot_s, output_lengths):
    stays = []
    for ttft, tpot, output in zip(ttft_s, tpot_s, output_lengths):
        stays.append(ttft + tpot * (output - 1) if output > 1 else ttft)
    return -(-requests_per_s * sum(stays) // len(stays))

# %% wrong concurrency: two tokens are one
def concurrency(requests_per_s, ttft_s, tpot_s, output_lengths):
    stays = []
    for ttft, tpot, output in zip(ttft_s, tpot_s, output_lengths):
        stays.append(ttft + tpot * (output - 1) if output > 2 else ttft)
    return requests_per_s * sum(stays) / len(stays)

# %% wrong concurrency: nothing
# says: None
def concurrency(requests_per_s, ttft_s, tpot_s, output_lengths):
    stays = []
    for ttft, tpot, output in zip(ttft_s, tpot_s, output_lengths):
        stays.append(ttft + tpot * (output - 1) if output > 1 else ttft)
    return None

# %% wrong concurrency: the median
# says: the median is taken
import statistics

def concurrency(requests_per_s, ttft_s, tpot_s, output_lengths):
    stays = []
    for ttft, tpot, output in zip(ttft_s, tpot_s, output_lengths):
        stays.append(ttft + tpot * (output - 1) if output > 1 else ttft)
    return requests_per_s * statistics.median(stays)

# %% wrong concurrency: means multiplied
# says: means are multiplied
import numpy as np

def concurrency(requests_per_s, ttft_s, tpot_s, output_lengths):
    tpot = np.nanmean(tpot_s) if np.isfinite(tpot_s).any() else 0.0
    return requests_per_s * (np.mean(ttft_s) + tpot * (np.mean(output_lengths) - 1))

# %% wrong concurrency: without short answers
# says: left out of the mean
import numpy as np

def concurrency(requests_per_s, ttft_s, tpot_s, output_lengths):
    stays = np.array(ttft_s) + np.array(tpot_s) * (np.array(output_lengths) - 1)
    return requests_per_s * np.nanmean(stays) if np.isfinite(stays).any() else 0.0

# %% wrong concurrency: fills NaN in place
# says: changed its argument number 3
import math

def concurrency(requests_per_s, ttft_s, tpot_s, output_lengths):
    for place, gap in enumerate(tpot_s):
        if math.isnan(gap):
            tpot_s[place] = 0.0
    stays = [a + b * (o - 1) for a, b, o in zip(ttft_s, tpot_s, output_lengths)]
    return requests_per_s * sum(stays) / len(stays)

# %% right concurrency: numpy
import numpy as np

def concurrency(requests_per_s, ttft_s, tpot_s, output_lengths):
    gaps = np.nan_to_num(tpot_s) * (np.array(output_lengths) - 1)
    return requests_per_s * np.mean(np.array(ttft_s) + gaps)

# %% right concurrency: sums first
import math

def concurrency(requests_per_s, ttft_s, tpot_s, output_lengths):
    rest = (g * (o - 1) for g, o in zip(tpot_s, output_lengths) if not math.isnan(g))
    return requests_per_s * (math.fsum(ttft_s) + math.fsum(rest)) / len(ttft_s)

# %% right concurrency: torch
import torch

def concurrency(requests_per_s, ttft_s, tpot_s, output_lengths):
    first, gap = torch.tensor(ttft_s), torch.tensor(tpot_s).nan_to_num(0.0)
    return requests_per_s * (first + gap * (torch.tensor(output_lengths) - 1)).mean()

# %% wrong cost_per_million_tokens: per second
# says: the hour is forgotten
import math

def cost_per_million_tokens(tokens_per_s, price_per_hour):
    if not 0 < tokens_per_s < math.inf:
        raise ValueError(f"tokens_per_s={tokens_per_s}")
    if not 0 <= price_per_hour < math.inf:
        raise ValueError(f"price_per_hour={price_per_hour}")
    return price_per_hour / tokens_per_s * 1e6

# %% wrong cost_per_million_tokens: an hour of 60 seconds
# says: an hour has 60 seconds
import math

def cost_per_million_tokens(tokens_per_s, price_per_hour):
    if not 0 < tokens_per_s < math.inf:
        raise ValueError(f"tokens_per_s={tokens_per_s}")
    if not 0 <= price_per_hour < math.inf:
        raise ValueError(f"price_per_hour={price_per_hour}")
    return price_per_hour / (tokens_per_s * 60) * 1e6

# %% wrong cost_per_million_tokens: one token
# says: one token is priced
import math

def cost_per_million_tokens(tokens_per_s, price_per_hour):
    if not 0 < tokens_per_s < math.inf:
        raise ValueError(f"tokens_per_s={tokens_per_s}")
    if not 0 <= price_per_hour < math.inf:
        raise ValueError(f"price_per_hour={price_per_hour}")
    return price_per_hour / (tokens_per_s * 3600)

# %% wrong cost_per_million_tokens: a thousand tokens
# says: a thousand tokens are priced
import math

def cost_per_million_tokens(tokens_per_s, price_per_hour):
    if not 0 < tokens_per_s < math.inf:
        raise ValueError(f"tokens_per_s={tokens_per_s}")
    if not 0 <= price_per_hour < math.inf:
        raise ValueError(f"price_per_hour={price_per_hour}")
    return price_per_hour / (tokens_per_s * 3600) * 1e3

# %% wrong cost_per_million_tokens: 2 to the 20
# says: 2 to the power of 20
import math

def cost_per_million_tokens(tokens_per_s, price_per_hour):
    if not 0 < tokens_per_s < math.inf:
        raise ValueError(f"tokens_per_s={tokens_per_s}")
    if not 0 <= price_per_hour < math.inf:
        raise ValueError(f"price_per_hour={price_per_hour}")
    return price_per_hour / (tokens_per_s * 3600) * 2**20

# %% wrong cost_per_million_tokens: upside down
# says: upside down
import math

def cost_per_million_tokens(tokens_per_s, price_per_hour):
    if not 0 < tokens_per_s < math.inf:
        raise ValueError(f"tokens_per_s={tokens_per_s}")
    if not 0 <= price_per_hour < math.inf:
        raise ValueError(f"price_per_hour={price_per_hour}")
    return tokens_per_s * 3600 / price_per_hour / 1e6 if price_per_hour else 0.0

# %% wrong cost_per_million_tokens: multiplied
# says: multiplied
import math

def cost_per_million_tokens(tokens_per_s, price_per_hour):
    if not 0 < tokens_per_s < math.inf:
        raise ValueError(f"tokens_per_s={tokens_per_s}")
    if not 0 <= price_per_hour < math.inf:
        raise ValueError(f"price_per_hour={price_per_hour}")
    return tokens_per_s * 3600 * price_per_hour / 1e6

# %% wrong cost_per_million_tokens: NaN gets through
# says: raise ValueError
import math

def cost_per_million_tokens(tokens_per_s, price_per_hour):
    if tokens_per_s <= 0 or tokens_per_s == math.inf:
        raise ValueError(f"tokens_per_s={tokens_per_s}")
    if not 0 <= price_per_hour < math.inf:
        raise ValueError(f"price_per_hour={price_per_hour}")
    return price_per_hour / (tokens_per_s * 3600) * 1e6

# %% wrong cost_per_million_tokens: infinity gets through
import math

def cost_per_million_tokens(tokens_per_s, price_per_hour):
    if not tokens_per_s > 0:
        raise ValueError(f"tokens_per_s={tokens_per_s}")
    if not 0 <= price_per_hour < math.inf:
        raise ValueError(f"price_per_hour={price_per_hour}")
    return price_per_hour / (tokens_per_s * 3600) * 1e6

# %% wrong cost_per_million_tokens: 0 gets through
import math

def cost_per_million_tokens(tokens_per_s, price_per_hour):
    if not 0 <= tokens_per_s < math.inf:
        raise ValueError(f"tokens_per_s={tokens_per_s}")
    if not 0 <= price_per_hour < math.inf:
        raise ValueError(f"price_per_hour={price_per_hour}")
    return price_per_hour / (tokens_per_s * 3600) * 1e6 if tokens_per_s else math.inf

# %% wrong cost_per_million_tokens: any number but 0
import math

def cost_per_million_tokens(tokens_per_s, price_per_hour):
    if tokens_per_s == 0 or math.isnan(tokens_per_s) or tokens_per_s == math.inf:
        raise ValueError(f"tokens_per_s={tokens_per_s}")
    if not 0 <= price_per_hour < math.inf:
        raise ValueError(f"price_per_hour={price_per_hour}")
    return price_per_hour / (tokens_per_s * 3600) * 1e6

# %% wrong cost_per_million_tokens: a price of NaN gets through
import math

def cost_per_million_tokens(tokens_per_s, price_per_hour):
    if not 0 < tokens_per_s < math.inf:
        raise ValueError(f"tokens_per_s={tokens_per_s}")
    if price_per_hour < 0 or price_per_hour == math.inf:
        raise ValueError(f"price_per_hour={price_per_hour}")
    return price_per_hour / (tokens_per_s * 3600) * 1e6

# %% wrong cost_per_million_tokens: a negative price gets through
import math

def cost_per_million_tokens(tokens_per_s, price_per_hour):
    if not 0 < tokens_per_s < math.inf:
        raise ValueError(f"tokens_per_s={tokens_per_s}")
    if not price_per_hour < math.inf:
        raise ValueError(f"price_per_hour={price_per_hour}")
    return price_per_hour / (tokens_per_s * 3600) * 1e6

# %% wrong cost_per_million_tokens: an infinite price gets through
import math

def cost_per_million_tokens(tokens_per_s, price_per_hour):
    if not 0 < tokens_per_s < math.inf:
        raise ValueError(f"tokens_per_s={tokens_per_s}")
    if not price_per_hour >= 0:
        raise ValueError(f"price_per_hour={price_per_hour}")
    return price_per_hour / (tokens_per_s * 3600) * 1e6

# %% wrong cost_per_million_tokens: refuses a price of 0
import math

def cost_per_million_tokens(tokens_per_s, price_per_hour):
    if not 0 < tokens_per_s < math.inf:
        raise ValueError(f"tokens_per_s={tokens_per_s}")
    if not 0 < price_per_hour < math.inf:
        raise ValueError(f"price_per_hour={price_per_hour}")
    return price_per_hour / (tokens_per_s * 3600) * 1e6

# %% wrong cost_per_million_tokens: cents
import math

def cost_per_million_tokens(tokens_per_s, price_per_hour):
    if not 0 < tokens_per_s < math.inf:
        raise ValueError(f"tokens_per_s={tokens_per_s}")
    if not 0 <= price_per_hour < math.inf:
        raise ValueError(f"price_per_hour={price_per_hour}")
    return round(price_per_hour / (tokens_per_s * 3600) * 1e6, 2)

# %% wrong cost_per_million_tokens: a text
# says: Give one number
import math

def cost_per_million_tokens(tokens_per_s, price_per_hour):
    if not 0 < tokens_per_s < math.inf:
        raise ValueError(f"tokens_per_s={tokens_per_s}")
    if not 0 <= price_per_hour < math.inf:
        raise ValueError(f"price_per_hour={price_per_hour}")
    return f"{price_per_hour / (tokens_per_s * 3600) * 1e6:.2f}"

# %% right cost_per_million_tokens: asks each thing apart
import math

def cost_per_million_tokens(tokens_per_s, price_per_hour):
    if math.isnan(tokens_per_s) or math.isinf(tokens_per_s) or tokens_per_s <= 0:
        raise ValueError(f"tokens_per_s={tokens_per_s}: measure it")
    if math.isnan(price_per_hour) or math.isinf(price_per_hour) or price_per_hour < 0:
        raise ValueError(f"price_per_hour={price_per_hour}: no price")
    hours = 1e6 / tokens_per_s / 3600
    return hours * price_per_hour

# %% right cost_per_million_tokens: numpy
import numpy as np

def cost_per_million_tokens(tokens_per_s, price_per_hour):
    if not (np.isfinite(tokens_per_s) and tokens_per_s > 0):
        raise ValueError("tokens_per_s is not a throughput: %s" % tokens_per_s)
    if not (np.isfinite(price_per_hour) and price_per_hour >= 0):
        raise ValueError("price_per_hour is not a price: %s" % price_per_hour)
    return np.float64(price_per_hour) / np.float64(tokens_per_s) / 0.0036

# %% wrong benchmark_plan: all tokens
# says: the CV is that of p + o
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = p + o, np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: the answers
# says: the CV is that of the answers
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o, np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: the prompts
# says: the CV is that of the prompts
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = p, np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: whole answers at each step
# says: the CV is that of o (p + o)
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + o), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: a sample's spread
# says: the CV divides by n - 1
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std(ddof=1) / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: 10 above
# says: 10 requests above a percentile
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 1000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: 1 above
# says: 1 request above a percentile
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 100],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: more than 100 above
# says: more than 100 requests are asked for
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) > 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: the pilot's requests
# says: percentiles are chosen by the pilot's requests
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if len(p) * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: all percentiles
# says: percentiles are quoted whatever
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [50, 90, 95, 99],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: warm-up once
# says: as many requests as are in flight
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: warm-up rounded down
# says: the warm-up is rounded down
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": int(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: rounded, then doubled
# says: rounded before it is doubled
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": 2 * math.ceil(pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: the CV squared
# says: the CV squared is given
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": spread**2,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: 1 over the CV
# says: burstiness is 1 / cv
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: the CV of the gaps
# says: the CV of the gaps is given
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": spread,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: the arrivals themselves
# says: the CV is that of the times of arrival
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.array(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: always the same order
# says: the variants run in the same order
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for seed in seeds for name in variants],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: reversed first
# says: turned round for the first seed
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants if i % 2 else variants[::-1])],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: one variant after the other
# says: one variant is finished before the next
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for name in variants for seed in seeds],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: by the seed's number
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for seed in seeds for name in (variants[::-1] if seed % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: sorted seeds
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(sorted(seeds)) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: normal distribution
# says: the normal distribution is used
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.norm.ppf((1 + confidence) / 2) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: one side
# says: a quantile of one side
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf(confidence, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: no square root of n
# says: the square root of the number of seeds is missing
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"],
    }

# %% wrong benchmark_plan: n degrees of freedom
# says: as many degrees of freedom as there are seeds
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds)) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: without p90
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: only the highest percentile
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [max([q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000], default=50)],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: at least one percentile
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000] or [50],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: no fixed beat
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else 0.0,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: a text for a number
# says: stands where a number belongs
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": f"{1 / spread**2 if spread > 0 else math.inf:.2f}",
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: the number as a float
# says: requests: 
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = float(required(cv, relative_error, confidence))
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: half the error
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error / 2, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: 10,000 always, for p99
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = max(10_000, required(cv, relative_error, confidence))
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: gaps of n - 1
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": gaps.mean() ** 2 / gaps.var(ddof=1) if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: turns the variants in place
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    runs = []
    for seed in seeds:
        runs += [(seed, name) for name in variants]
        variants.reverse()
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": runs,
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% wrong benchmark_plan: without the runs
# says: expected cv, requests
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% right benchmark_plan: lists and the statistics module
import math
from statistics import NormalDist, fmean, pstdev

from scipy.stats import t

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    steps = [o * p + o * (o + 1) / 2 for p, o in zip(pilot["prompt_lengths"], pilot["output_lengths"])]
    cv = pstdev(steps) / fmean(steps)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    requests = max(1, math.ceil((z * cv / relative_error) ** 2))
    arrivals = pilot["arrival_s"]
    gaps = [b - a for a, b in zip(arrivals[:-1], arrivals[1:])]
    variance = pstdev(gaps) ** 2
    runs, order = [], list(variants)
    for seed in seeds:
        runs.extend([seed, name] for name in order)
        order = order[::-1]
    margin = t.isf((1 - confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / len(seeds) ** 0.5
    return {
        "inconclusive_below": margin,
        "runs": runs,
        "burstiness": fmean(gaps) ** 2 / variance if variance else float("inf"),
        "warmup": -int(-2 * pilot["in_flight"] // 1),
        "percentiles": [q for q in (50, 90, 95, 99) if requests >= 10_000 / (100 - q)],
        "requests": requests,
        "cv": cv,
    }

# %% right benchmark_plan: numbers of NumPy
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = steps.std() / steps.mean(), gaps.std() / gaps.mean()
    n = np.int64(required(cv, relative_error, confidence))
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [np.int64(q) for q in np.array([50, 90, 95, 99]) if n * (100 - q) // 100 >= 100],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": [(seed, name) for i, seed in enumerate(seeds) for name in (variants[::-1] if i % 2 else variants)],
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }

# %% right benchmark_plan: torch, and tuples
import math

import numpy as np
from scipy import stats

def required(cv, relative_error, confidence):
    return max(1, math.ceil((stats.norm.ppf((1 + confidence) / 2) * cv / relative_error) ** 2))

def benchmark_plan(pilot, variants, seeds, relative_error, confidence):
    p, o = np.array(pilot["prompt_lengths"]), np.array(pilot["output_lengths"])
    steps, gaps = o * (p + (o + 1) / 2), np.diff(pilot["arrival_s"])
    cv, spread = float(__import__('torch').tensor(steps).std(unbiased=False) / steps.mean()), gaps.std() / gaps.mean()
    n = required(cv, relative_error, confidence)
    return {
        "cv": cv,
        "requests": n,
        "percentiles": [q for q in (50, 90, 95, 99) if n * (100 - q) >= 10_000],
        "warmup": math.ceil(2 * pilot["in_flight"]),
        "burstiness": 1 / spread**2 if spread > 0 else math.inf,
        "runs": tuple((seed, name) for i, seed in enumerate(seeds) for name in (tuple(variants)[::-1] if i % 2 else variants)),
        "inconclusive_below": stats.t.ppf((1 + confidence) / 2, len(seeds) - 1) * pilot["pair_sd"] / math.sqrt(len(seeds)),
    }
