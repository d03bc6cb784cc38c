#!/usr/bin/env python3
"""A `vllm` for tests: `serve` answers /health, `bench serve` writes a result as vLLM does.

FAKE_VLLM_CALLS names a file that gets the arguments of each call, a JSON list in each line.
Latencies are made up: TTFT is a tenth of a second for each KV head, TPOT 10 ms.
"""

import json
import os
import random
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


def after(flag, default=None):
    return sys.argv[sys.argv.index(flag) + 1] if flag in sys.argv else default


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def metadata():
    """What --metadata adds to a result, as strings."""
    rest = sys.argv[sys.argv.index("--metadata") + 1 :]
    pairs = rest[: next((n for n, word in enumerate(rest) if word.startswith("--")), len(rest))]
    return dict(pair.split("=", 1) for pair in pairs)


def served_kv_heads(calls, own):
    """KV heads of the server that was started last."""
    last = [call for call in map(json.loads, calls.read_text().splitlines()) if call[0] == "serve"]
    overrides = (
        last[-1][last[-1].index("--hf-overrides") + 1] if "--hf-overrides" in last[-1] else ""
    )
    return json.loads(overrides)["num_key_value_heads"] if overrides else own


def lengths(num):
    if after("--dataset-name") == "random":
        return [(int(after("--random-input-len")), int(after("--random-output-len")))] * num
    rows = Path(after("--dataset-path")).read_text().splitlines()[:num]
    found = [json.loads(row) for row in rows]
    return [(len(row["prompt"].split()) + 1, row["output_tokens"]) for row in found]


def bench(calls):
    num, rate, seed = (
        float(after(f"--{name}")) for name in ("num-prompts", "request-rate", "seed")
    )
    pairs = lengths(int(num))
    assert len(pairs) == num
    draw = random.Random(seed)
    starts, now = [], 0.0
    for _ in pairs:
        now += draw.expovariate(1) / rate
        starts.append(now)
    first = 0.1 * served_kv_heads(calls, int(os.environ["FAKE_VLLM_OWN"]))
    ttfts = [first * draw.uniform(0.99, 1.01) for _ in pairs]
    itls = [[0.01] * (output - 1) for _, output in pairs]
    result = {
        "date": "20261129-200000",
        "backend": "vllm",
        "model_id": after("--model"),
        "num_prompts": int(num),
        "request_rate": rate if rate < float("inf") else "inf",
        "burstiness": float(after("--burstiness")),
        "duration": now + 10,
        "completed": int(num),
        "failed": 0,
        "request_throughput": num / (now + 10),
        "output_throughput": sum(output for _, output in pairs) / (now + 10),
        "mean_ttft_ms": 1e3 * sum(ttfts) / num,
        "input_lens": [prompt for prompt, _ in pairs],
        "output_lens": [output for _, output in pairs],
        "ttfts": ttfts,
        "itls": itls,
        "start_times": starts,
        "errors": [""] * int(num),
    }
    result |= metadata()
    if os.environ.get("FAKE_VLLM_DIES") == after("--result-filename").removesuffix(
        ".part"
    ):  # as a server does that is killed
        result |= {"completed": 0, "failed": int(num), "output_lens": [0] * int(num)}
    target = Path(after("--result-dir"), after("--result-filename"))
    target.write_text(json.dumps(result))


def main():
    if sys.argv[1:] == ["--version"]:
        print("0.0-fake")
        return
    calls = Path(os.environ["FAKE_VLLM_CALLS"])
    with calls.open("a") as file:
        file.write(json.dumps(sys.argv[1:]) + "\n")
    if sys.argv[1] == "serve":
        HTTPServer(("127.0.0.1", int(after("--port"))), Healthy).serve_forever()
    else:
        bench(calls)


if __name__ == "__main__":
    main()
