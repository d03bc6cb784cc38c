"""Answers to the exercises of lesson 09, wrong and right: see grading/authoring/catalogue.py."""

# %% wrong cached_numbers_per_token: K only
# says: only one of K and V is counted
def cached_numbers_per_token(num_kv_heads, head_dim):
    return num_kv_heads * head_dim

# %% wrong cached_numbers_per_token: bytes in bfloat16
# says: bytes are counted
def cached_numbers_per_token(num_kv_heads, head_dim):
    return 2 * num_kv_heads * head_dim * 2

# %% wrong cached_numbers_per_token: bytes in float32
# says: bytes of 4 for each number
def cached_numbers_per_token(num_kv_heads, head_dim):
    return 2 * num_kv_heads * head_dim * 4

# %% wrong cached_numbers_per_token: the query as well
# says: the query is counted as well
def cached_numbers_per_token(num_kv_heads, head_dim):
    return 3 * num_kv_heads * head_dim

# %% wrong cached_numbers_per_token: a sum
# says: the sizes are added
def cached_numbers_per_token(num_kv_heads, head_dim):
    return 2 * (num_kv_heads + head_dim)

# %% wrong cached_numbers_per_token: one head
# says: the KV heads are left out
def cached_numbers_per_token(num_kv_heads, head_dim):
    return 2 * head_dim

# %% wrong cached_numbers_per_token: heads only
# says: head_dim is left out
def cached_numbers_per_token(num_kv_heads, head_dim):
    return 2 * num_kv_heads

# %% wrong cached_numbers_per_token: squared
# says: the product is squared
def cached_numbers_per_token(num_kv_heads, head_dim):
    return (num_kv_heads * head_dim) ** 2

# %% wrong cached_numbers_per_token: eight query heads
def cached_numbers_per_token(num_kv_heads, head_dim):
    return 2 * 8 * head_dim

# %% wrong cached_numbers_per_token: a model of twelve layers
def cached_numbers_per_token(num_kv_heads, head_dim):
    num_layers = 12
    return 2 * num_layers * num_kv_heads * head_dim

# %% wrong cached_numbers_per_token: a float
# says: a whole number (int) is expected
def cached_numbers_per_token(num_kv_heads, head_dim):
    return 2.0 * num_kv_heads * head_dim

# %% wrong cached_numbers_per_token: K and V apart
def cached_numbers_per_token(num_kv_heads, head_dim):
    return num_kv_heads * head_dim, num_kv_heads * head_dim

# %% wrong cached_numbers_per_token: heads of 64 at least
def cached_numbers_per_token(num_kv_heads, head_dim):
    return 2 * num_kv_heads * max(head_dim, 64)

# %% wrong cached_numbers_per_token: halves a head of one channel
def cached_numbers_per_token(num_kv_heads, head_dim):
    return 4 * num_kv_heads * (head_dim // 2)

# %% right cached_numbers_per_token: counts the numbers of two tensors
import torch

def cached_numbers_per_token(num_kv_heads, head_dim):
    k, v = torch.zeros(2, num_kv_heads, head_dim)
    return k.numel() + v.numel()

# %% right cached_numbers_per_token: head by head
def cached_numbers_per_token(num_kv_heads, head_dim):
    total = 0
    for _ in range(num_kv_heads):
        key, value = head_dim, head_dim
        total += key + value
    return total

# %% right cached_numbers_per_token: math.prod
from math import prod

def cached_numbers_per_token(num_kv_heads, head_dim):
    return prod((2, num_kv_heads, head_dim))

# %% wrong paired_difference: sign turned round
# says: the sign is turned round
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(losses_a) - np.array(losses_b)
    half = stats.t.ppf((1 + confidence) / 2, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half

# %% wrong paired_difference: two independent samples
# says: the pairs are taken apart
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    a, b = np.array(losses_a), np.array(losses_b)
    error = np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    half = stats.t.ppf((1 + confidence) / 2, len(a) + len(b) - 2) * error
    difference = b.mean() - a.mean()
    return difference, difference - half, difference + half

# %% wrong paired_difference: scipy's test of independent samples
# says: the pairs are taken apart
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    test = stats.ttest_ind(losses_b, losses_a)
    low, high = test.confidence_interval(confidence)
    return (low + high) / 2, low, high

# %% wrong paired_difference: sorted first
# says: the lists are sorted first
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(sorted(losses_b)) - np.array(sorted(losses_a))
    half = stats.t.ppf((1 + confidence) / 2, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half

# %% wrong paired_difference: numpy's standard deviation
# says: the standard deviation divides by n
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(losses_b) - np.array(losses_a)
    half = stats.t.ppf((1 + confidence) / 2, len(d) - 1) * d.std() / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half

# %% wrong paired_difference: z
# says: the normal distribution is used
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(losses_b) - np.array(losses_a)
    half = stats.norm.ppf((1 + confidence) / 2) * d.std(ddof=1) / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half

# %% wrong paired_difference: 1.96
import numpy as np

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(losses_b) - np.array(losses_a)
    half = 1.96 * d.std(ddof=1) / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half

# %% wrong paired_difference: one side
# says: a quantile of one side is used
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(losses_b) - np.array(losses_a)
    half = stats.t.ppf(confidence, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half

# %% wrong paired_difference: n degrees of freedom
# says: t has n degrees of freedom
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(losses_b) - np.array(losses_a)
    half = stats.t.ppf((1 + confidence) / 2, len(d)) * d.std(ddof=1) / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half

# %% wrong paired_difference: confidence as alpha
# says: the confidence is taken for what lies outside
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(losses_b) - np.array(losses_a)
    half = stats.t.ppf(1 - confidence / 2, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half

# %% wrong paired_difference: 95 % always
# says: the confidence is not used
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(losses_b) - np.array(losses_a)
    half = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half

# %% wrong paired_difference: the scatter of one difference
# says: the scatter of one difference
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(losses_b) - np.array(losses_a)
    half = stats.t.ppf((1 + confidence) / 2, len(d) - 1) * d.std(ddof=1)
    return d.mean(), d.mean() - half, d.mean() + half

# %% wrong paired_difference: divided by n
# says: the scatter is divided by n
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(losses_b) - np.array(losses_a)
    half = stats.t.ppf((1 + confidence) / 2, len(d) - 1) * d.std(ddof=1) / len(d)
    return d.mean(), d.mean() - half, d.mean() + half

# %% wrong paired_difference: divided by the square root of n - 1, after ddof=1
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(losses_b) - np.array(losses_a)
    half = stats.t.ppf((1 + confidence) / 2, len(d) - 1) * d.std(ddof=1) / (len(d) - 1) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half

# %% wrong paired_difference: absolute differences
# says: absolute differences are averaged
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = abs(np.array(losses_b) - np.array(losses_a))
    half = stats.t.ppf((1 + confidence) / 2, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half

# %% wrong paired_difference: relative differences
# says: ratios are taken
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(losses_b) / np.array(losses_a) - 1
    half = stats.t.ppf((1 + confidence) / 2, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half

# %% wrong paired_difference: median
# says: the median is taken
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(losses_b) - np.array(losses_a)
    half = stats.t.ppf((1 + confidence) / 2, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
    return np.median(d), np.median(d) - half, np.median(d) + half

# %% wrong paired_difference: variance
# says: the variance stands where
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(losses_b) - np.array(losses_a)
    half = stats.t.ppf((1 + confidence) / 2, len(d) - 1) * d.var(ddof=1) / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half

# %% wrong paired_difference: one standard error
# says: the quantile is left out
import numpy as np

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(losses_b) - np.array(losses_a)
    error = d.std(ddof=1) / len(d) ** 0.5
    return d.mean(), d.mean() - error, d.mean() + error

# %% wrong paired_difference: high before low
# says: the ends are exchanged
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(losses_b) - np.array(losses_a)
    half = stats.t.ppf((1 + confidence) / 2, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
    return d.mean(), d.mean() + half, d.mean() - half

# %% wrong paired_difference: the lower tail's quantile
# says: the ends are exchanged
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(losses_b) - np.array(losses_a)
    half = stats.t.ppf((1 - confidence) / 2, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half

# %% wrong paired_difference: distances from the mean
# says: the ends are distances from the mean
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(losses_b) - np.array(losses_a)
    half = stats.t.ppf((1 + confidence) / 2, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
    return d.mean(), -half, half

# %% wrong paired_difference: the best runs
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(losses_b) - np.array(losses_a)
    half = stats.t.ppf((1 + confidence) / 2, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
    best = min(losses_b) - min(losses_a)
    return best, best - half, best + half

# %% wrong paired_difference: smallest and largest difference
def paired_difference(losses_a, losses_b, confidence):
    d = [b - a for a, b in zip(losses_a, losses_b)]
    return sum(d) / len(d), min(d), max(d)

# %% wrong paired_difference: the difference alone
# says: expected 3 results
def paired_difference(losses_a, losses_b, confidence):
    return sum(b - a for a, b in zip(losses_a, losses_b)) / len(losses_a)

# %% wrong paired_difference: a table of t that ends at ten pairs
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(losses_b) - np.array(losses_a)
    half = stats.t.ppf((1 + confidence) / 2, min(len(d), 10) - 1) * d.std(ddof=1) / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half

# %% wrong paired_difference: rounded to three digits
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(losses_b) - np.array(losses_a)
    half = stats.t.ppf((1 + confidence) / 2, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
    return round(d.mean(), 3), round(d.mean() - half, 3), round(d.mean() + half, 3)

# %% wrong paired_difference: subtracts in place
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    for place, loss in enumerate(losses_a):
        losses_b[place] -= loss
    d = np.array(losses_b)
    half = stats.t.ppf((1 + confidence) / 2, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half

# %% wrong paired_difference: one value's spread
# says: Of two pairs or more each is a number
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.array(losses_b) - np.array(losses_a)
    half = stats.t.ppf((1 + confidence) / 2, 0) * d.std(ddof=1) / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half

# %% right paired_difference: scipy's paired test
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    test = stats.ttest_rel(losses_b, losses_a)
    low, high = test.confidence_interval(confidence)
    return (low + high) / 2, low, high

# %% right paired_difference: scipy's interval, numpy's mean
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.subtract(losses_b, losses_a)
    low, high = stats.t.interval(confidence, len(d) - 1, loc=d.mean(), scale=stats.sem(d))
    return [d.mean(), low, high]

# %% right paired_difference: Python's statistics and the survival function
from math import sqrt
from statistics import mean, stdev

from scipy.stats import t

def paired_difference(losses_a, losses_b, confidence):
    d = [b - a for a, b in zip(losses_a, losses_b)]
    middle = mean(d)
    half = t.isf((1 - confidence) / 2, len(d) - 1) * stdev(d) / sqrt(len(d))
    return float(middle), float(middle - half), float(middle + half)

# %% right paired_difference: torch in float32
import torch
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = torch.tensor(losses_b) - torch.tensor(losses_a)
    t = float(stats.t.ppf(0.5 + confidence / 2, len(d) - 1))
    half = t * d.std() / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half

# %% right paired_difference: without scipy, by integrating Student's density
import math

def paired_difference(losses_a, losses_b, confidence):
    d = [b - a for a, b in zip(losses_a, losses_b)]
    n = len(d)
    middle = sum(d) / n
    error = math.sqrt(sum((x - middle) ** 2 for x in d) / (n - 1) / n)
    df = n - 1

    def covered(angle, steps=2000):  # t = sqrt(df) tan(angle): the density becomes cos^(df - 1)
        width = angle / steps
        ends = 1 + math.cos(angle) ** (df - 1)
        odd = sum(math.cos((2 * i + 1) * width) ** (df - 1) for i in range(steps // 2))
        even = sum(math.cos(2 * i * width) ** (df - 1) for i in range(1, steps // 2))
        scale = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(math.pi)
        return 2 * scale * width / 3 * (ends + 4 * odd + 2 * even)

    low, high = 0.0, math.pi / 2
    for _ in range(60):
        angle = (low + high) / 2
        low, high = (angle, high) if covered(angle) < confidence else (low, angle)
    half = math.sqrt(df) * math.tan((low + high) / 2) * error
    return middle, middle - half, middle + half

# %% wrong ffn_width_for_equal_params: two matrices
# says: a block of two matrices
def ffn_width_for_equal_params(config, num_kv_heads):
    saved = 2 * (config.num_kv_heads - num_kv_heads) * config.head_dim * config.d_model
    return config.d_ff + round(saved / (2 * config.d_model))

# %% wrong ffn_width_for_equal_params: one matrix
# says: only one matrix gets wider
def ffn_width_for_equal_params(config, num_kv_heads):
    return config.d_ff + 2 * (config.num_kv_heads - num_kv_heads) * config.head_dim

# %% wrong ffn_width_for_equal_params: forgets V
# says: only one of the projections of K and V
def ffn_width_for_equal_params(config, num_kv_heads):
    saved = (config.num_kv_heads - num_kv_heads) * config.head_dim * config.d_model
    return config.d_ff + round(saved / (3 * config.d_model))

# %% wrong ffn_width_for_equal_params: starts from the query heads
# says: the query heads are where you start from
def ffn_width_for_equal_params(config, num_kv_heads):
    saved = 2 * (config.num_heads - num_kv_heads) * config.head_dim
    return config.d_ff + round(saved / 3)

# %% wrong ffn_width_for_equal_params: head_dim from d_model
# says: head_dim is derived from d_model
def ffn_width_for_equal_params(config, num_kv_heads):
    head_dim = config.d_model // config.num_heads
    saved = 2 * (config.num_kv_heads - num_kv_heads) * head_dim
    return config.d_ff + round(saved / 3)

# %% wrong ffn_width_for_equal_params: cuts off
# says: the width is rounded down
def ffn_width_for_equal_params(config, num_kv_heads):
    saved = 2 * (config.num_kv_heads - num_kv_heads) * config.head_dim
    return config.d_ff + saved // 3

# %% wrong ffn_width_for_equal_params: towards zero
# says: the fraction of a channel is cut off
def ffn_width_for_equal_params(config, num_kv_heads):
    saved = 2 * (config.num_kv_heads - num_kv_heads) * config.head_dim
    return config.d_ff + int(saved / 3)

# %% wrong ffn_width_for_equal_params: rounds up
# says: the width is rounded up
from math import ceil

def ffn_width_for_equal_params(config, num_kv_heads):
    saved = 2 * (config.num_kv_heads - num_kv_heads) * config.head_dim
    return config.d_ff + ceil(saved / 3)

# %% wrong ffn_width_for_equal_params: half up by int, which fails below zero
def ffn_width_for_equal_params(config, num_kv_heads):
    saved = 2 * (config.num_kv_heads - num_kv_heads) * config.head_dim
    return config.d_ff + int(saved / 3 + 0.5)

# %% wrong ffn_width_for_equal_params: the wrong way
# says: the block changes the wrong way
def ffn_width_for_equal_params(config, num_kv_heads):
    saved = 2 * (config.num_kv_heads - num_kv_heads) * config.head_dim
    return config.d_ff - round(saved / 3)

# %% wrong ffn_width_for_equal_params: the channels added
# says: these are the channels that are added
def ffn_width_for_equal_params(config, num_kv_heads):
    saved = 2 * (config.num_kv_heads - num_kv_heads) * config.head_dim
    return round(saved / 3)

# %% wrong ffn_width_for_equal_params: all layers in one block
# says: the block is widened once for all layers
def ffn_width_for_equal_params(config, num_kv_heads):
    saved = 2 * config.num_layers * (config.num_kv_heads - num_kv_heads) * config.head_dim
    return config.d_ff + round(saved / 3)

# %% wrong ffn_width_for_equal_params: adds weights
# says: weights are added to the width
def ffn_width_for_equal_params(config, num_kv_heads):
    return config.d_ff + 2 * (config.num_kv_heads - num_kv_heads) * config.head_dim * config.d_model

# %% wrong ffn_width_for_equal_params: as it was
# says: the width is left as it was
def ffn_width_for_equal_params(config, num_kv_heads):
    return config.d_ff

# %% wrong ffn_width_for_equal_params: queries and output shrink
# says: the queries and the output shrink
def ffn_width_for_equal_params(config, num_kv_heads):
    saved = 4 * (config.num_kv_heads - num_kv_heads) * config.head_dim
    return config.d_ff + round(saved / 3)

# %% wrong ffn_width_for_equal_params: never narrower
def ffn_width_for_equal_params(config, num_kv_heads):
    saved = 2 * (config.num_kv_heads - num_kv_heads) * config.head_dim
    return config.d_ff + max(0, round(saved / 3))

# %% wrong ffn_width_for_equal_params: abs
def ffn_width_for_equal_params(config, num_kv_heads):
    saved = 2 * abs(config.num_kv_heads - num_kv_heads) * config.head_dim
    return config.d_ff + round(saved / 3)

# %% wrong ffn_width_for_equal_params: in proportion
def ffn_width_for_equal_params(config, num_kv_heads):
    return round(config.d_ff * config.num_kv_heads / num_kv_heads)

# %% wrong ffn_width_for_equal_params: a float
# says: a whole number (int) is expected
def ffn_width_for_equal_params(config, num_kv_heads):
    saved = 2 * (config.num_kv_heads - num_kv_heads) * config.head_dim
    return config.d_ff + saved / 3

# %% wrong ffn_width_for_equal_params: rounds up to a multiple of 8
def ffn_width_for_equal_params(config, num_kv_heads):
    saved = 2 * (config.num_kv_heads - num_kv_heads) * config.head_dim
    return -(-(config.d_ff + round(saved / 3)) // 8) * 8

# %% wrong ffn_width_for_equal_params: rounds K and V apart
def ffn_width_for_equal_params(config, num_kv_heads):
    saved = (config.num_kv_heads - num_kv_heads) * config.head_dim
    return config.d_ff + 2 * round(saved / 3)

# %% right ffn_width_for_equal_params: in whole numbers
def ffn_width_for_equal_params(config, num_kv_heads):
    saved = 2 * (config.num_kv_heads - num_kv_heads) * config.head_dim
    return config.d_ff + (2 * saved + 3) // 6

# %% right ffn_width_for_equal_params: totals up both models
def ffn_width_for_equal_params(config, num_kv_heads):
    def attention(kv_heads):
        return config.d_model * config.head_dim * 2 * (config.num_heads + kv_heads)

    total = attention(config.num_kv_heads) + 3 * config.d_model * config.d_ff
    return round((total - attention(num_kv_heads)) / (3 * config.d_model))

# %% right ffn_width_for_equal_params: looks for the nearest
def ffn_width_for_equal_params(config, num_kv_heads):
    def layer(kv_heads, d_ff):
        return 2 * kv_heads * config.head_dim * config.d_model + 3 * d_ff * config.d_model

    wanted = layer(config.num_kv_heads, config.d_ff)
    return min(range(1, 4 * config.d_ff), key=lambda width: abs(layer(num_kv_heads, width) - wanted))

# %% right ffn_width_for_equal_params: fractions
from fractions import Fraction

def ffn_width_for_equal_params(config, num_kv_heads):
    fewer = config.num_kv_heads - num_kv_heads
    return config.d_ff + round(Fraction(2 * fewer * config.head_dim, 3))

# %% right paired_difference: an array of NumPy
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.asarray(losses_b) - np.asarray(losses_a)
    half = stats.t.ppf((1 + confidence) / 2, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
    return d.mean() + half * np.array([0, -1, 1])

# %% right paired_difference: arrays of one number
import numpy as np
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = np.asarray(losses_b) - np.asarray(losses_a)
    half = stats.t.ppf((1 + confidence) / 2, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
    return np.array(d.mean()), np.array(d.mean() - half), np.array(d.mean() + half)

# %% wrong paired_difference: fractions
# says: One of its three results is a Fraction
from fractions import Fraction
from scipy import stats

def paired_difference(losses_a, losses_b, confidence):
    d = [b - a for a, b in zip(losses_a, losses_b)]
    n, mean = len(d), sum(d) / len(d)
    deviation = (sum((one - mean) ** 2 for one in d) / (n - 1)) ** 0.5
    half = stats.t.ppf((1 + confidence) / 2, n - 1) * deviation / n**0.5
    return Fraction(mean), Fraction(mean - half), Fraction(mean + half)
