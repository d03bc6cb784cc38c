# %% [markdown] generated="card"

# %% [markdown]
# ## A question worth measuring
#
# vLLM served 300 requests with Llama-3.1-8B on one RTX 4090 and wrote a log: 195,753 output tokens in 184
# seconds, 1,066 tokens/s. Rented for 0.35 an hour, that card makes a million tokens for 0.35 / 3600 / 1066 ·
# 10⁶ = 0.09. A report says so, and adds that with as many KV heads as query heads they would cost five times as
# much.
#
# **Would you sign it? Which of its numbers was measured, and at which latency?**

# %% nbgrader={"grade": false, "grade_id": "setup", "locked": true, "schema_version": 3, "solution": false, "task": false} does="Imports JSON, time, paths and the course's check, hint and quiz functions; nothing to change."
import json
import math
import time
from datetime import UTC, datetime
from pathlib import Path

from gqa_lib.learn import check, check_quiz, guess, guessed, hint, outcome, show_quiz

# %% [markdown]
# This is the last lesson in which you build something: a memo that says whether to adopt fewer KV heads, whose
# every number has a file behind it. You write the four functions that decide what may stand in it, then the
# argument, which a person marks. Lesson 08 predicted such figures; here you decide which of them may be signed.

# %% [markdown]
# ## Your case
#
# Change traffic, price and objective; leave `HARDWARE`, which is this machine, and 8 and 2, which the records of
# quality are about. The model is small enough to be *served* on the machine in front of you: its numbers will be
# measured, and hold for it alone. For the RTX 4090 there is the log.

# %% does="Sets your case: machine, model shape, KV heads, traffic, price, objective; change only what the text allows."
import torch

from gqa_lib.measure import environment
from gqa_lib.serving.simulator import parse_goodput
from gqa_lib.serving.traffic import fit, sample

torch.set_num_threads(1)  # products this small gain little from more, and wait for busy cores
about = environment()
HARDWARE = f"{about['cpu_model']}, one core"  # what the memo is about
SHAPE = {"num_layers": 2, "num_heads": 8, "head_dim": 32, "d_model": 256, "d_ff": 704, "vocab_size": 1024}
BASELINE, VARIANT = 8, 2  # KV heads: as it is, and what is proposed
TRAFFIC, SHORTER = fit(sample("azure-conv-2023")), 4  # lengths are divided by this, then cut to 1,000 and 60
PRICE_PER_HOUR = 0.10  # of HARDWARE, in your currency
OBJECTIVE = parse_goodput("ttft:1000 tpot:100")  # milliseconds, at the 99th percentile
# A file of rows about the RTX 4090 in the form of exercise 1, each with num_kv_heads, from and load, and with
# request_rate, output_throughput, p99_ttft_ms and p99_tpot_ms in its metrics.
OWN_RUNS = None
print(HARDWARE, OBJECTIVE, sep="\n")

# %% [markdown]
# ## Margins before figures
#
# Which gain in tokens/s would be worth the work? Which loss would be too much? Whoever chooses after looking
# tends to choose what came out. So write both down **now**, with your guess in place of `None`: how many times
# the tokens/s of 8 KV heads will 2 give, on this machine?

# %% does="Writes your margins and guess with the time; look whether it says before or after any run."
stated = {
    "benefit_margin": 0.10,  # relative change of tokens/s that would matter
    "loss_margin": 0.01,  # loss of quality that would matter, in the unit of its record
}
guess("tokens/s, 2 KV heads / 8", None)
folder = Path("adoption")
folder.mkdir(exist_ok=True)
stated["utc"] = datetime.now(UTC).isoformat(timespec="seconds")
late = (folder / "runs.jsonl").exists()
(folder / "stated.json").write_text(json.dumps(stated))
print(f"stated at {stated['utc']},", "after runs that are in adoption/runs.jsonl: delete the folder to start afresh"
      if late else "before any run")

# %% [markdown]
# ## By hand: five lines of a file
#
# Runs are kept one a line, as JSON. Say the claim is about an RTX 4090. Which of these may carry it?
#
# | line | label | hardware | finished | tokens/s | counts? |
# |---|---|---|---|---|---|
# | 1 | measured | RTX 4090 | true | 1066 | yes |
# | 2 | modelled | RTX 4090 | true | 1063 | not measured |
# | 3 | measured | RTX 4090 D | true | 990 | other hardware |
# | 4 | measured | RTX 4090 | false | 1410 | unfinished |
# | 5 | measured | RTX 4090 | true | NaN | no number |

# %% [markdown]
# Line 4 looks best of all: a run that stops early often does, because what it did not get to was slow. And
# line 5 passes every test of the kind `if value <= 0: refuse`, as comparisons with NaN are false.

# %% [markdown]
# ## Exercise 1 · `measured_rows`
#
# *20 minutes · difficulty 3 of 5*
#
# Which rows may stand behind a **measured figure**? `text` holds one JSON object a line, separated by `"\n"`.
# Return `(rows, refused)`: the rows that count, as `json.loads` made them and in order, and a dictionary from line
# number, counted from 1, to the reason. Lines with nothing but spaces are skipped, and counted. The reason is the
# **first** that holds:

# %% [markdown]
# - `"broken"`: not JSON, or not an object with `label`, `hardware`, `finished` and `metrics`, where `metrics` is
#   an object with one entry or more;
# - `"not measured"`: `label` is not exactly `"measured"`;
# - `"other hardware"`: `hardware` is not exactly the name asked for;
# - `"unfinished"`: `finished` is not `true`;
# - `"no number"`: a value in `metrics` is not a finite number above 0. Texts and `true` are not numbers; Python's
#   `json` reads `NaN` and `Infinity`.

# %% nbgrader={"grade": false, "grade_id": "measured_rows", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Exercise: write which lines of a file may carry a claim, and why the others may not."
def measured_rows(text, hardware):
    """Return the rows that may carry a claim about hardware, and line -> why another may not."""
    ### BEGIN SOLUTION
    rows, refused = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            label, machine, finished = row["label"], row["hardware"], row["finished"]
            values = row["metrics"].values()
        except (ValueError, KeyError, TypeError, AttributeError):
            refused[number] = "broken"
            continue
        numbers = [value for value in values if type(value) in (int, float)]
        reasons = {
            "broken": not values,
            "not measured": label != "measured",
            "other hardware": machine != hardware,
            "unfinished": finished is not True,
            "no number": len(numbers) < len(values) or not all(0 < one < math.inf for one in numbers),
        }
        if failed := [why for why, holds in reasons.items() if holds]:
            refused[number] = failed[0]
        else:
            rows.append(row)
    return rows, refused
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "measured_rows-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} does="Checks measured_rows with broken, modelled, foreign, unfinished and numberless lines, blank ones and line numbers."
check("measured_rows", measured_rows)
### BEGIN HIDDEN TESTS
from gqa_lib.learn.exercises.lesson15 import KINDS
check("measured_rows", measured_rows, seed=None, cases=[
    *({"draw": n} for n in range(1, 7)), {"kinds": KINDS}, {"kinds": KINDS[::-1], "hardware": "L4"},
])
### END HIDDEN TESTS

# %% [markdown] hints="measured_rows"
# <details><summary>Hint: a line at a time</summary>
#
# `enumerate(text.split("\n"), 1)` numbers the lines. Skip blank ones *after* they have their number. Put the
# tests in the order of the list, and stop at the first that fails.
# </details>
# <details><summary>If NaN, true or a list slips through</summary>
#
# Ask what a value must be: `type(value) in (int, float)`, `math.isfinite(value)` and `value > 0`. `true` is an
# `int` to `isinstance`. And `finished` must be `is True`: the text "no" is true as well.
# </details>
# <details><summary>A worked step</summary>
#
# Put `json.loads(line)` and the four look-ups into one `try`. What is not JSON raises ValueError, a missing name
# KeyError, a list or a number TypeError, and `.values()` of a list AttributeError: all are "broken".
# </details>

# %% [markdown]
# ## What there is about the RTX 4090
#
# The log becomes a row. The library's simulator gives two more, for the same requests: with 8 KV heads, where
# the log shows how good it is, and with 32, which nobody ran. Each is a **modelled figure**, and says so.

# %% does="Turns vLLM's log of the RTX 4090 into a measured row with p99 latencies; prints nothing."
import numpy as np

def latencies(ttft_s, e2e_s, outputs):
    """p99 of TTFT and TPOT (lesson 08), in milliseconds."""
    more = outputs > 1
    tpot = (e2e_s - ttft_s)[more] / (outputs[more] - 1)
    return {"p99_ttft_ms": 1e3 * float(np.percentile(ttft_s, 99)),
            "p99_tpot_ms": 1e3 * float(np.percentile(tpot, 99))}

log = sample("vllm-rtx4090")
seconds = float((log.arrival_s + log.measured["e2e_s"]).max())
metrics = {"request_rate": (len(log) - 1) / float(log.arrival_s[-1]),
           "output_throughput": float(log.output_tokens.sum()) / seconds}
metrics |= latencies(log.measured["ttft_s"], log.measured["e2e_s"], log.output_tokens)
rows = [{"label": "measured", "hardware": "RTX 4090", "finished": True, "num_kv_heads": 8,
         "from": "vllm-rtx4090.jsonl.gz", "load": "at a rate", "metrics": metrics}]

# %% does="Simulates the log's requests with 8 and 32 KV heads; compare the modelled 8 with the measured row."
from gqa_lib.serving.scenario import Scenario
from gqa_lib.serving.simulator import summary

SIMULATOR = "simulation of the log's requests with kernel times of an RTX 4090 (gqa_lib.serving.simulator)"
for kv in (8, 32):
    found = summary(Scenario(kernel_times="rtx4090-llama-3.1-8b", num_kv_heads=kv).run(log))
    metrics = {name: found[name] for name in ("output_throughput", "p99_ttft_ms", "p99_tpot_ms")}
    metrics["request_rate"] = rows[0]["metrics"]["request_rate"]
    rows.append({"label": "modelled", "hardware": "RTX 4090", "finished": True, "num_kv_heads": kv,
                 "from": SIMULATOR, "load": "at a rate", "metrics": metrics})
for row in rows:
    print(f"{row['label']:8} {row['num_kv_heads']:2} KV heads:",
          ", ".join(f"{name} {value:,.1f}" for name, value in row["metrics"].items()))

# %% does="Writes the rows to runs.jsonl, afresh, and prints which count about the card and which are refused."
runs = folder / "runs.jsonl"
runs.write_text("".join(json.dumps(row) + "\n" for row in rows))
if OWN_RUNS:
    runs.write_text(runs.read_text() + Path(OWN_RUNS).read_text().rstrip("\n") + "\n")
on_card, refused = measured_rows(runs.read_text(), "RTX 4090")
print("about the RTX 4090, rows that count:", *(f"{row['num_kv_heads']} KV heads, {row['from']}" for row in on_card))
print("refused:", refused)

# %% [markdown]
# "Five times as much" was the last of these lines against the first: one modelled, one measured. It may be
# right. What the simulator makes of 8 KV heads, next to the log, says how far to trust it *there*. But no run
# stands behind it, and a memo has to say so.

# %% [markdown]
# Lesson 08 modelled the same card and got 3.5 times: it left MHA the same memory for its cache; here MHA's larger
# weights come out of it. Two models that both meet the log at 8 KV heads differ by a third at 32. That is what
# *modelled* means.

# %% [markdown]
# ## Measure something: your machine
#
# Now runs of your own. `serve` gives an engine (lesson 11) requests as they arrive and keeps what users would
# notice, from the moment at which a request was due. Requests are drawn from the traffic you chose, the same ones for both variants: a **seed** names them.

# %% does="Makes the two small models and draws each seed's requests from your traffic; prints nothing."
from gqa_lib.compare.models import llama_like
from gqa_lib.model import LanguageModel
from gqa_lib.serving import Engine

torch.manual_seed(0)
models = {kv: LanguageModel(llama_like(kv, **SHAPE)) for kv in (BASELINE, VARIANT)}
NUM_REQUESTS = 8

def requests_of(seed, rate=None):
    """Prompts, output lengths and arrivals; without a rate all come at once."""
    drawn = TRAFFIC.draw(NUM_REQUESTS, rate or 1.0, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    sizes = [min(1000, 1 + int(n) // SHORTER) for n in drawn.prompt_tokens]
    prompts = [torch.randint(SHAPE["vocab_size"], (n,), generator=generator).tolist() for n in sizes]
    outputs = [min(60, 2 + int(n) // SHORTER) for n in drawn.output_tokens]
    return prompts, outputs, drawn.arrival_s if rate else np.zeros(NUM_REQUESTS)

# %% does="Defines how an engine serves requests as they come, each timed from when it was due."
def serve(num_kv_heads, prompts, outputs, arrivals):
    """Serve requests as they arrive; return the engine's requests, when each was due, and the seconds it took."""
    engine = Engine(models[num_kv_heads], memory_bytes=2**26, max_num_seqs=8, max_num_batched_tokens=512)
    added, start = [], time.perf_counter()
    while len(added) < len(prompts) or engine.running or engine.waiting:
        now = time.perf_counter() - start
        while len(added) < len(prompts) and arrivals[len(added)] <= now:
            added.append(engine.add(prompts[len(added)], outputs[len(added)]))
        if engine.running or engine.waiting:
            engine.step()
        else:
            time.sleep(float(arrivals[len(added)]) - now)
    return added, start + np.asarray(arrivals), time.perf_counter() - start

# %% does="Defines one run: serve a seed's requests, append a measured row, return tokens per second."
def run(num_kv_heads, seed, rate=None):
    """Serve one seed's requests, append the run to the file, and return its tokens/s."""
    requests = requests_of(seed, rate)
    done, due, seconds = serve(num_kv_heads, *requests)
    metrics = {"output_throughput": sum(len(one.output) for one in done) / seconds}
    metrics |= latencies(np.array([one.first_token_s for one in done]) - due,
                         np.array([one.finished_s for one in done]) - due, np.array(requests[1]))
    metrics |= {"request_rate": rate} if rate else {}
    row = {"label": "measured", "hardware": HARDWARE, "num_kv_heads": num_kv_heads, "seed": seed,
           "finished": all(one.ending == "length" for one in done), "from": "runs.jsonl, this run",
           "load": "at a rate" if rate else "at once", "metrics": metrics}
    with runs.open("a") as file:
        file.write(json.dumps(row) + "\n")
    return metrics["output_throughput"]

# %% [markdown]
# First what each variant can do: all requests at once, five seeds, the two taking turns as in `benchmark_plan`
# (lesson 08): pairs by seed, order reversed every second seed, a warm-up that is not counted. (About 15 seconds; on a busy machine it stops after fewer seeds.)

# %% does="Runs both variants in turns for up to five seeds; compare tokens/s within each line."
(folder / "environment.json").write_text(json.dumps(about))
run(BASELINE, 99), run(VARIANT, 99)  # warm-up: kept in the file, not in the comparison
started = time.perf_counter()
for seed in range(5):
    if seed >= 2 and time.perf_counter() - started > 25:
        break
    first, second = (BASELINE, VARIANT) if seed % 2 == 0 else (VARIANT, BASELINE)
    speed = {first: run(first, seed), second: run(second, seed)}
    print(f"seed {seed}: {speed[BASELINE]:6.1f} tokens/s with {BASELINE}, {speed[VARIANT]:6.1f} with {VARIANT}")

# %% [markdown]
# ## By hand: two seeds
#
# | seed | baseline | variant | ratio | its logarithm |
# |---|---|---|---|---|
# | 1 | 100 | 200 | 2 | +0.69 |
# | 2 | 100 | 50 | 0.5 | -0.69 |
# | mean | 100 | 125 | 1.25 | 0 |
#
# Twice as fast once, half as fast once: no change. The mean of ratios says 25 % faster, and with the two
# exchanged it says so again. Logarithms treat both alike: average those, and turn the result back.

# %% [markdown]
# ## Exercise 2 · `paired_change`
#
# *15 minutes · difficulty 3 of 5*
#
# `baseline` and `variant` are dictionaries, seed to value. Pair runs of the same seed; leave out seeds that only
# one of them has. Take log(variant / baseline) of each pair, its mean and Student's interval at `confidence`
# (n - 1 degrees of freedom, lesson 09), and turn all three back: exp(x) - 1. Return (change, low, high): 0.4 is
# 40 % more. With fewer than two pairs return None.

# %% nbgrader={"grade": false, "grade_id": "paired_change", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Exercise: write the relative change over pairs of seeds, with its interval."
def paired_change(baseline, variant, confidence):
    """Return the relative change of the variant and the ends of its interval, None where there are fewer than two pairs."""
    ### BEGIN SOLUTION
    from statistics import mean, stdev

    from scipy.stats import t

    logs = [math.log(variant[seed] / baseline[seed]) for seed in baseline if seed in variant]
    n = len(logs)
    if n < 2:
        return None
    half = t.ppf((1 + confidence) / 2, n - 1) * stdev(logs) / math.sqrt(n)
    center = mean(logs)
    return math.expm1(center), math.expm1(center - half), math.expm1(center + half)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "paired_change-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} does="Checks paired_change: pairing, logarithms, interval ends, and too few pairs."
check("paired_change", paired_change)
### BEGIN HIDDEN TESTS
check("paired_change", paired_change, seed=None, cases=[
    *({"draw": n} for n in range(1, 9)), {"baseline": {4: 8.0}, "variant": {4: 9.0}},
])
### END HIDDEN TESTS

# %% [markdown] hints="paired_change"
# <details><summary>Hint: lessons 08 and 09</summary>
#
# `paired_difference` of log(baseline) and log(variant) is all but the last step. First choose the seeds that
# are in both dictionaries.
# </details>
# <details><summary>If the change is right and the ends are not</summary>
#
# Add and subtract half of the interval *before* you turn back. The quantile is that of (1 + confidence) / 2
# with n - 1 degrees of freedom, and the standard deviation divides by n - 1 (`statistics.stdev`).
# </details>
# <details><summary>A worked step</summary>
#
# `logs = [math.log(variant[s] / baseline[s]) for s in baseline if s in variant]`, and at the end
# `math.expm1(center - half)` is the low end.
# </details>

# %% [markdown]
# Your runs, read back from the file: only what your own function lets through.

# %% does="Reads your runs back through measured_rows; look at the change, its interval and your guess."
def by_seed(rows, num_kv_heads):
    """Seed -> tokens/s of the runs with all requests at once, without the warm-up."""
    return {row["seed"]: row["metrics"]["output_throughput"] for row in rows
            if row["num_kv_heads"] == num_kv_heads and row["load"] == "at once" and row["seed"] != 99}

here, refused = measured_rows(runs.read_text(), HARDWARE)
change, low, high = paired_change(by_seed(here, BASELINE), by_seed(here, VARIANT), 0.95)
print(f"{len(here)} rows are of this machine; lines {', '.join(map(str, refused))} are not")
print(f"{VARIANT} KV heads: {change:+.0%} tokens/s, 95 % from {low:+.0%} to {high:+.0%}; "
      f"margin {stated['benefit_margin']:+.0%}")
outcome("tokens/s, 2 KV heads / 8", 1 + change)

# %% [markdown]
# ## At which latency?
#
# All at once is what a server *can* do. What can be sold is the rate that keeps an **SLO** (lesson 08), here called
# the objective. So run again, as an open loop: the requests of one seed, at 0.4, 0.6 and 0.8 times the rate at
# which the baseline just served them. **Guess:** up to which rate does each variant keep your objective? (About 20
# seconds.)

# %% does="Serves one seed at three lower rates with both variants; look at p99 TTFT and TPOT."
managed = by_seed(here, BASELINE)[0] / sum(requests_of(0)[1]) * NUM_REQUESTS  # requests/s
for share in (0.4, 0.6, 0.8):
    for kv in (BASELINE, VARIANT):
        run(kv, 0, rate=share * managed)
here, refused = measured_rows(runs.read_text(), HARDWARE)
at_rates = [row for row in here if row["load"] == "at a rate"]
for row in at_rates:
    found = row["metrics"]
    print(f"{row['num_kv_heads']} KV heads, {found['request_rate']:5.2f} requests/s: "
          f"p99 TTFT {found['p99_ttft_ms']:6.0f} ms, TPOT {found['p99_tpot_ms']:5.0f} ms")

# %% [markdown]
# ## Exercise 3 · `cost_at_objective`
#
# *15 minutes · difficulty 3 of 5*
#
# `rows` are as in exercise 1, each with `request_rate` and `output_throughput` in its `metrics`; only those whose
# label is exactly `"measured"` count. `objective` is latency to the most milliseconds, {"ttft": 500, "tpot": 50} or
# one of them: `p99_ttft_ms` must be at most 500. A rate keeps the objective if **every** measured run at it does; a
# run without that percentile does not.

# %% [markdown]
# In lesson 08 95 % of requests had to keep both latencies at once. Here each latency has its own 99th percentile,
# as `vllm bench serve` reports them.

# %% [markdown]
# Take the highest request rate that keeps it, average the tokens/s (`output_throughput`) of its runs, and return
# what a million output tokens cost at `price_per_hour`. If no rate keeps it, return None: 0 would read as free.
# By hand: 1.80 an hour and 500 tokens/s are 1.80 / 3600 / 500 · 10⁶ = 1.00. This last step is lesson 08's
# `cost_per_million_tokens`; write it out, as this notebook does not have yours.

# %% nbgrader={"grade": false, "grade_id": "cost_at_objective", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Exercise: write the cost of a million tokens at the highest rate that keeps the objective."
def cost_at_objective(rows, price_per_hour, objective):
    """Return the cost of a million output tokens at the highest rate that keeps the objective."""
    ### BEGIN SOLUTION
    runs, failed = {}, set()
    for entry in rows:
        if entry["label"] != "measured":
            continue
        metrics = entry["metrics"]
        rate = metrics["request_rate"]
        runs.setdefault(rate, []).append(metrics["output_throughput"])
        if any(metrics.get(f"p99_{name}_ms", math.inf) > most for name, most in objective.items()):
            failed.add(rate)
    kept = runs.keys() - failed
    if not kept:
        return None
    rates = runs[max(kept)]
    return price_per_hour / 3600 / (sum(rates) / len(rates)) * 1e6
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "cost_at_objective-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} does="Checks cost_at_objective with repeats, missing percentiles, values at the limit, and no rate that keeps it."
check("cost_at_objective", cost_at_objective)
### BEGIN HIDDEN TESTS
check("cost_at_objective", cost_at_objective, seed=None, cases=[*({"draw": n} for n in range(1, 13)), {"many": 140}])
### END HIDDEN TESTS

# %% [markdown] hints="cost_at_objective"
# <details><summary>Hint: rates first</summary>
#
# Collect the measured rows by `request_rate`. Keep the rates all of whose rows keep all latencies, and take
# the largest of those.
# </details>
# <details><summary>If only some cases fail</summary>
#
# Repeats: one run that fails is enough to lose its rate, and tokens/s are averaged before you divide. Exactly
# 500 ms keeps 500. A percentile that is missing counts as too slow, if the objective names it.
# </details>
# <details><summary>A worked step</summary>
#
# `metrics.get(f"p99_{name}_ms", math.inf) <= most` for each name and limit of `objective.items()`. Then
# `price_per_hour / 3600 / tokens_per_s * 1e6`.
# </details>

# %% [markdown]
# Now the report's 0.09, asked properly: what does a million tokens cost on that card if the first comes within
# 5 seconds, at the 99th percentile? And on your machine, at your objective?

# %% does="Asks for the RTX 4090's cost at its peak and within 5 s; compare the two."
peak = on_card[0]["metrics"]["output_throughput"]
as_it_is = [row for row in on_card if row["num_kv_heads"] == 8]
card_cost = cost_at_objective(as_it_is, 0.35, {"ttft": 5000.0})
print(f"RTX 4090: peak {0.35 / 3600 / peak * 1e6:.2f}, within 5 s: {card_cost}, as the p99 of the first token "
      f"is {on_card[0]['metrics']['p99_ttft_ms'] / 1e3:,.0f} s")

# %% does="Prints your machine's cost at your objective for both variants, or that no rate keeps it."
cost = {kv: cost_at_objective([row for row in at_rates if row["num_kv_heads"] == kv],
                              PRICE_PER_HOUR, OBJECTIVE) for kv in (BASELINE, VARIANT)}
for kv, value in cost.items():
    print(f"this machine, {kv} KV heads:", "no rate keeps the objective" if value is None else f"{value:.3f}")

# %% [markdown]
# Eight requests are over before a queue has formed. A rate that they keep has not been refuted; whether a server
# keeps it for an hour takes the run that lesson 08's `benchmark_plan` asks for, and nobody made it. Read these
# costs as what eight requests allow to say. And where both variants keep up, more speed changes little: tokens/s
# are then nearly what arrives.

# %% [markdown]
# The log's requests came ten a second, six times what the card could serve, and most of them waited. Its
# tokens/s are real, and so is the time of a token. For a price at a latency it takes another run, at a lower
# rate: nobody made it, so nobody knows.

# %% [markdown]
# ## What about quality?
#
# The model that you served was never trained: nothing can be said of its answers. The library has two records
# of models that were, with 8 query heads, of 8 channels each: a text model and the recall task of lesson 09.
# **Recorded, on another machine, of other models.**

# %% does="Reads two recorded quality differences as losses; look at each interval next to its margin."
from gqa_lib.records import about as about_record, read, recorded

losses = {}
for path in recorded("quality"):
    record = read(path)
    task = next(row for row in record if row["kind"] == "setting")["params"]["task"]
    row = next(row for row in record if row["kind"] == "difference" and row["of"] == f"GQA {VARIANT}")
    ends = (row["low"], row["high"]) if task == "text" else (-row["high"], -row["low"])  # loss: up is worse
    losses[task] = {"interval": ends, "margin": row["margin"], "file": path.name, "from": about_record(record[0])}
    print(f"{task}: loss {ends[0]:+.4f} to {ends[1]:+.4f}, margin {row['margin']}, {row['num_pairs']} pairs")
    print(f"    {path.name}")

# %% [markdown]
# ## Exercise 4 · `decide`
#
# *10 minutes · difficulty 2 of 5*
#
# `benefit` and `loss` are intervals (low, high), or None where nothing was measured; each has a margin. More
# benefit is better, more loss worse. An interval **says something** if it lies wholly on one side of its margin;
# one that reaches it, even with an end exactly on it, does not. Return

# %% [markdown]
# - `"do not adopt"` if the benefit is below its margin for sure, or the loss above its margin for sure, whatever
#   the other is;
# - `"adopt"` if the benefit is above its margin for sure **and** the loss below its margin for sure;
# - `"cannot be said yet"` otherwise.

# %% nbgrader={"grade": false, "grade_id": "decide", "locked": false, "schema_version": 3, "solution": true, "task": false} does="Exercise: write the rule that turns two intervals and margins into one of three answers."
def decide(benefit, benefit_margin, loss, loss_margin):
    """Return "adopt", "do not adopt" or "cannot be said yet"."""
    ### BEGIN SOLUTION
    nothing = (-math.inf, math.inf)  # what an interval is of which nothing is known
    least, most = benefit or nothing
    best, worst = loss or nothing
    if most < benefit_margin or best > loss_margin:
        return "do not adopt"
    if least > benefit_margin and worst < loss_margin:
        return "adopt"
    return "cannot be said yet"
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "decide-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} does="Checks decide with intervals on either side of, across and exactly on margins, and with None."
check("decide", decide)
### BEGIN HIDDEN TESTS
check("decide", decide, seed=None, cases=[{"draw": n} for n in range(1, 26)])
### END HIDDEN TESTS

# %% [markdown] hints="decide"
# <details><summary>Hint: two questions each</summary>
#
# Is the low end above the margin? Is the high end below it? If neither, the interval says nothing. Ask what
# forbids adopting first, then what allows it.
# </details>
# <details><summary>If None is the trouble</summary>
#
# What was not measured could be anything: an interval from minus infinity to infinity. Not 0: that would be a
# loss that was measured, and found to be none.
# </details>
# <details><summary>A worked step</summary>
#
# `low > benefit_margin` is a benefit for sure, `high < benefit_margin` one that is too small for sure. Of a loss
# the same two comparisons say "too much" and "small enough".
# </details>

# %% [markdown]
# Three decisions: for the model you served, and for what it would be with the quality of either record, if that
# were of this model. **Guess them first.**

# %% does="Applies your rule to the served model and to both records; compare with your guesses."
asked = {"as it is": (None, stated["loss_margin"])}
asked |= {f"if it lost as {task}": (one["interval"], one["margin"]) for task, one in losses.items()}
answers = {name: decide((low, high), stated["benefit_margin"], *one) for name, one in asked.items()}
for name, answer in answers.items():
    print(f"{name}: {answer}")

# %% does="Divides gain and losses by their margins and says which are above, below or open; prints nothing."
scaled = {"gain": [end / stated["benefit_margin"] for end in (change, low, high)]}
for task, one in losses.items():
    scaled[f"{task} loss"] = [end / one["margin"] for end in (sum(one["interval"]) / 2, *one["interval"])]
says = {name: "above its margin" if ends[1] > 1 else "below its margin" if ends[2] < 1 else "open"
        for name, ends in scaled.items()}

# %% does="Plots all intervals in units of their margins; look which lie wholly on one side of 1."
from gqa_lib import plots

plots.use_style()
title = "; ".join(f"{name}: {said}" for name, said in says.items()).capitalize()
fig = plots.difference_intervals(scaled, title=title, xlabel="times its margin; right of 1 it matters",
                                 reported={"its margin": 1.0}, note="losses as recorded")
plots.show(fig, alt="Intervals in margins: " + "; ".join(
    f"{name} {ends[1]:.1f} to {ends[2]:.1f}" for name, ends in scaled.items()))

# %% [markdown]
# ### Spot the bug
#
# ```python
# rows = [row for row in rows if not row["metrics"].get("p99_ttft_ms", 0) > 500]
# cost = price / 3600 / max(row["metrics"]["output_throughput"] for row in rows) * 1e6
# ```
#
# It ran for a year in a dashboard. Which rows pass that should not? And is its price one that can be had?

# %% [markdown]
# <details><summary>Answer</summary>
#
# NaN passes, as NaN > 500 is false; so does a row without the percentile; modelled rows and other machines'
# rows are not even asked. And `max` picks the luckiest run: of five repeats at one rate it takes the fastest,
# which nobody can order. Average repeats, and let one that fails cost its rate.
# </details>

# %% [markdown]
# ## The memo
#
# The library's **decision memo** takes no bare number. A `Figure` has a label, "measured", "modelled" or "given", and a
# source; a measured one needs a `Record`: file, what in it, where and when. What happens if you try without?

# %% does="Tries a figure without a record and a sentence with digits; read why each is refused."
from gqa_lib.serving.memo.values import Figure, Name, Prose, Record, Words

for attempt in (lambda: Figure(0.09, "per million tokens", "measured", "price over peak"),
                lambda: Prose("A million tokens cost 0.09.")):
    try:
        attempt()
    except ValueError as error:
        print(error)

# %% does="Builds the memo's answer and reason from labelled figures: measured gain, given margins."
WHERE = f"recorded on {HARDWARE}, {about['utc'][:10]}"
def measured(value, unit, key, **interval):
    return Figure(value, unit, "measured", Record("runs.jsonl", key, WHERE), **interval)

def given(value, unit, what="stated.json: " + stated["utc"]):
    return Figure(value, unit, "given", what)

percent = {"low": 100 * low, "high": 100 * high}
gain = measured(100 * change, "%", f"tokens/s at once, {len(by_seed(here, BASELINE))} pairs of seeds", **percent)
answer = Prose("{answer}: {variant} KV heads instead of {baseline}.", answer=Name(answers["as it is"].capitalize()),
               variant=given(VARIANT, "", "Your case"), baseline=given(BASELINE, "", "Your case"))
why = Prose("Tokens/s change by {gain}, and {margin} would matter. The quality of this model was not measured.",
            gain=gain, margin=given(100 * stated["benefit_margin"], "%"))

# %% [markdown]
# The cost section states a cost only where your function gave one. Otherwise it says which run is missing, with
# the command. The log's card comes after it, in a table whose modelled rows are labelled.

# %% does="Builds the cost section: a cost where your function gave one, else what is missing."
from gqa_lib.serving.memo.blocks import Command, Heading, Memo, Table

blocks = [Heading("Cost")]
for kv, value in cost.items():
    arm = Name(f"{kv} KV heads")
    if value is None:
        blocks.append(Prose("No cost is stated for {arm}: no measured rate keeps the objective.", arm=arm))
    else:
        key = f"{kv} KV heads: tokens/s at the highest rate that keeps p99 of {OBJECTIVE}, under {PRICE_PER_HOUR} an hour"
        blocks.append(Prose("{arm}: {cost}.", arm=arm, cost=measured(value, "per million output tokens", key)))
blocks.append(Prose("Of {n} requests at each rate: nearly the slowest of them, not one in a hundred.",
                    n=given(NUM_REQUESTS, "", "Measure something: NUM_REQUESTS")))
blocks.append(Heading("The card with a log"))

# %% does="Adds the card with a log: no cost without a run that keeps the latency, but the command."
card = Name("an RTX 4090")
if card_cost is None:
    blocks.append(Prose(
        "No cost is stated for {card}. With the model's own KV heads no measured rate keeps a first token within "
        "seconds; with as many as query heads no run is in this memo. A run that is missing, at a lower rate, of "
        "requests of one length; {plan} writes the traffic's own lengths, and as many requests as a percentile "
        "takes:", card=card, plan=Name("gqa plan")))
    blocks.append(Command(
        "vllm bench serve --model meta-llama/Llama-3.1-8B --dataset-name random --ignore-eos \\\n"
        "  --random-input-len 857 --random-output-len 653 --request-rate 1 --num-prompts 300 \\\n"
        "  --percentile-metrics ttft,tpot --metric-percentiles 50 --save-result"))
else:
    record = Record("runs.jsonl", "tokens/s of 8 KV heads, 0.35 an hour, first token within 5 s", "on an RTX 4090")
    blocks.append(Prose("{card}: {cost}.", card=card,
                        cost=Figure(card_cost, "per million output tokens", "measured", record)))

# %% does="Adds the tables of the card and of quality; look how measured and modelled rows are labelled."
def figure_of(row, name, unit):
    value = row["metrics"][name]
    if row["label"] == "measured":
        where = "recorded with vLLM (LLMServingSim's log), without a date"
        return Figure(value, unit, "measured", Record(row["from"], f"{name} of {len(log)} requests", where))
    return Figure(value, unit, row["label"], f"{name}: {row['from']}, {row['num_kv_heads']} KV heads")

names = {"output_throughput": "tokens/s", "p99_tpot_ms": "ms"}
table = [(Name(f"{row['num_kv_heads']} KV heads"), [figure_of(row, *one) for one in names.items()]) for row in rows]
blocks.append(Table(["variant", "tokens/s", Name("p99 TPOT")], table))
blocks += [Heading("Quality"), Prose("As recorded of small models, which are not this one. At this model's own "
                                     "scale nobody knows it without training.")]
table = []
for task, one in losses.items():
    ends = {"low": one["interval"][0], "high": one["interval"][1]}
    record = Record(one["file"], f"difference of GQA {VARIANT}, as a loss", one["from"])
    loss = Figure(sum(one["interval"]) / 2, "", "measured", record, **ends)
    table.append((Name(task), [loss, given(one["margin"], "", f"{one['file']}: margin"), Words(answers[f"if it lost as {task}"])]))
blocks.append(Table(["task", "loss", "margin", "if it were this model"], table))

# %% does="Writes the memo as Markdown and as a page, and shows it without its sources."
import re

from IPython.display import Markdown, display

from gqa_lib.serving.memo.markdown import markdown
from gqa_lib.serving.memo.page import page

memo = Memo(Prose("Fewer KV heads on {machine}?", machine=Name(HARDWARE)), [answer, why], blocks)
(folder / "memo.md").write_text(markdown(memo))
(folder / "memo.html").write_text(page(memo))
print(*sorted(str(path) for path in folder.iterdir()), sep="\n")
shown = (folder / "memo.md").read_text().split("## Sources")[0]
display(Markdown(re.sub(r"\[(\w+) (\d+)\]\(#source-\d+\)", r"*(\1, \2)*", shown)))

# %% [markdown]
# Open `adoption/memo.html` in a browser: every figure has its label, and a link to its source. `gqa report` makes
# a longer one for any model, hardware and trace, from records and from results of vLLM's benchmark and others. It
# refuses the same things.

# %% [markdown]
# ## The argument
#
# A memo does not decide; whoever signs it does. Write the argument, one page or less, for **your** case, and for
# someone who will spend money on it. Copy the first lines of your memo and its time into your text; figures are
# marked as you quote them. A person marks it by this table:

# %% [markdown] rubric="argument"
# | points | for |
# |---|---|
# | 1 | One sentence: adopt, do not adopt or cannot be said yet, of a named model and machine |
# | 1 | Both margins, and the time at which they were stated |
# | 2 | The gain: its number and interval (1); its file, number of pairs and "measured" (1) |
# | 1 | Every other figure has a file or source, and a label |
# | 1 | A modelled figure: by what, and where that was checked and where not |
# | 1 | A cost only with its latency and rate; otherwise none, and the run that is missing |
# | 2 | Two things that cannot be known here, with why (1 each) |
# | 1 | A result that would change the answer, and the command that measures it |

# %% [markdown] nbgrader={"grade": true, "grade_id": "argument", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# **Decision.** Cannot be said yet whether 2 KV heads should replace 8 in the small model, on an AMD EPYC, one core,
# in the run that I quote: its gain contains its margin, and its quality was not measured. Margins, stated
# 2026-11-29 21:49 UTC in `stated.json`, given: 10 % more tokens/s, a loss of 0.01.
#
# **Figures.** *Measured, `runs.jsonl`, that run:* +23 % tokens/s, 95 % from +7 % to +40 %, 5 pairs of seeds, all at
# once. (Yours will differ; quote yours.) *Measured, not by me, `vllm-rtx4090.jsonl.gz`:* 1,066 tokens/s of
# Llama-3.1-8B with 8 KV heads, p99 TTFT 137 s, p99 TPOT 56 ms. *Modelled, by the simulator with kernel times of
# that card:* 1,063 tokens/s for the same run, within 1 % of the log, and 221 with 32 KV heads, which no run has
# checked. *Measured, of other small models, `quality-text-...jsonl` and `quality-recall-...jsonl`:* a loss of
# -0.018 to +0.015 nats per byte, which contains its margin of 0.01, and of 0.387 to 0.407 of all answers, far above
# its margin of 0.02.
#
# **Cost.** *Measured, `runs.jsonl`, that run, at 0.10 an hour, given:* 0.413 per million tokens with 8 KV heads and
# 0.411 with 2, at 1.89 requests/s, whose p99 kept 1,000 ms to the first token and 100 ms for each further one. Both
# kept up, so that tokens/s are what arrived: no gain. On the RTX 4090 none: the only run had six times the load
# that it could serve, and 0.09 per million is a price over a queue. Missing is a run at about 1 request/s.
#
# **What cannot be known here.** Whether a model of 8 billion parameters loses anything with fewer KV heads: that
# takes training, and the two small tasks disagree. Whether another engine gains as much: no other was run. And a
# 99th percentile: of eight requests it is nearly the slowest one.
#
# **What would change it.** More pairs for the gain, and quality of this model: both wholly on the good side say
# adopt, either wholly on the bad side do not. Next, quality with these heads at this width:
#
# ```sh
# gqa bench quality -p task=text -p num_kv_heads="[8, 2]" -p head_dim=32 -p d_model=256 \
#   -p equal_params=false -p margin=0.01 -p num_seeds=20
# ```

# %% [markdown]
# ## What this does not tell you
#
# - Eight requests have no 99th percentile: theirs is nearly the slowest one. Lesson 08's rule, 100 requests above a
#   percentile, takes 10,000 for p99; `required_requests` and `gqa plan` say how many a mean takes.
# - The model you served has random weights and two layers. Its speed is real and its answers mean nothing; in a
#   larger model weights take a larger share of each step, and fewer KV heads gain less, or fit more requests.
# - With 2 KV heads this model also has smaller K and V projections: each token is multiplied with 1.67 million
#   weights instead of 1.87, 11 % fewer. Not all of the gain is the cache.
# - The interval covers what changed from seed to seed within a minute. Another day, another load on the machine
#   or another version is not in it.
# - Rows can lie: a label is what somebody wrote. Keep the commands and the environment next to the numbers.

# %% [markdown] generated="quiz"

# %% [markdown]
# ## In three lines
#
# - State margins first; then let only rows that were measured, finished, and of this machine carry a claim.
# - A cost belongs to a latency. Where no measured rate keeps it there is none to state, only a run to make.
# - "Cannot be said yet" is an answer: it names the measurement that would end it.

# %% [markdown] generated="ending"
