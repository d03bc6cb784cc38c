#!/usr/bin/env bash
# @TITLE@
#
#   MODEL=path-or-name ./vllm_bench.sh [compare|burst|capacity|sweep ...]
#
# Starts `vllm serve` for each variant in turn, and measures it with `vllm bench serve`: the runs of
# plan.md, in its order, or only those of the kinds that are named. A run whose result is there and
# complete is not repeated, so it can be stopped and started again. Needs vLLM and bash; nothing of
# the course.
#
# MODEL      checkpoint or its name on the Hub. A variant with other KV heads is made of its config
#            with random weights (--load-format dummy), and so are then all: that is enough for
#            speed. MODEL_8=... (for 8 KV heads) names a checkpoint of that variant's own instead.
# HARDWARE   what the results say they were measured on (default: as nvidia-smi names the device).
# PORT, READY_S, RESULTS   default 8000, 1800 seconds and the folder results next to this script
set -euo pipefail
KINDS=("$@")
for kind in "${KINDS[@]}"; do
  case $kind in
    compare | burst | capacity | sweep) ;;
    *)
      echo "$kind is no kind of run: give compare, burst, capacity or sweep, or none for all." >&2
      exit 2
      ;;
  esac
done
for name in MODEL RESULTS "${!MODEL_@}"; do # relative to where it was called, not to this script
  if [[ -n "${!name:-}" && "${!name}" != /* && -e "${!name}" ]]; then
    printf -v "$name" '%s' "$PWD/${!name}"
  fi
done
cd "$(dirname "${BASH_SOURCE[0]}")"
: "${MODEL:?set MODEL to the checkpoint of @MODEL@, or its name on the Hub}"
PORT=${PORT:-8000}
READY_S=${READY_S:-1800}
RESULTS=${RESULTS:-results}
HARDWARE=${HARDWARE:-$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1 || true)}
OWN_KV_HEADS=@OWN_KV_HEADS@
SERVER="" SERVED="" SERVES=""

SERVE=(@SERVE@)
BENCH=(@BENCH@)

mkdir -p "$RESULTS" prompts

# The text of the prompts: a word is about a token, and one more stands for the token that most
# tokenizers put first. The benchmark counts what they really are.
write_prompts() {
  python3 - "$1" "$2" <<'PYTHON'
import json
import random
import sys

WORDS = """time year people way day man thing woman life child world school state family student
group country problem hand part place case week company system program question work government
number night point home water room mother area money story fact month lot right study book eye job
word business issue side kind head house service friend father power hour game line end member law
car city community name president team minute idea body information back parent face level office
door health person art war history party result change morning reason research""".split()
BLOCK = @BLOCK_TOKENS@  # tokens of a block that prompts may share


def words(seed, count):
    draw = random.Random(seed)
    return [draw.choice(WORDS) for _ in range(count)]


source, target = sys.argv[1:]
with open(source, encoding="utf-8") as rows, open(target, "w", encoding="utf-8") as prompts:
    for number, line in enumerate(rows):
        row = json.loads(line)
        length, text = max(1, row["prompt_tokens"] - 1), []
        for block in row.get("hash_ids", [])[: length // BLOCK]:
            text += words(f"block {block}", BLOCK)
        text += words(f"{source} {number}", length - len(text))
        prompt = {"prompt": " ".join(text), "output_tokens": row["output_tokens"]}
        prompts.write(json.dumps(prompt) + "\n")
PYTHON
}

stop() {
  if [[ -n "$SERVER" ]]; then
    kill "$SERVER" 2>/dev/null || true
    wait "$SERVER" 2>/dev/null || true
  fi
  SERVER="" SERVES=""
}
trap stop EXIT

is_ready() {
  python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)' \
    "http://127.0.0.1:$PORT/health" 2>/dev/null
}

# serve KV_HEADS: the server of a variant, started unless it runs.
serve() {
  if [[ "$SERVES" == "$1" ]] && kill -0 "$SERVER" 2>/dev/null; then
    return 0
  fi
  stop
  local own="MODEL_$1" variant=()
  SERVED=${!own:-$MODEL}
  if [[ -z "${!own:-}" ]]; then
    variant+=(--load-format dummy)
    if [[ "$1" != "$OWN_KV_HEADS" ]]; then
      variant+=(--hf-overrides "{\"num_key_value_heads\": $1}")
    fi
  fi
  if is_ready; then
    echo "Port $PORT is taken by another server: stop it, or set PORT." >&2
    exit 1
  fi
  echo "kv$1: vllm serve starts"
  vllm serve "$SERVED" --port "$PORT" "${SERVE[@]}" "${variant[@]}" \
    >>"$RESULTS/kv$1.server.log" 2>&1 &
  SERVER=$! SERVES=$1
  local until=$((SECONDS + READY_S))
  until is_ready; do
    if ! kill -0 "$SERVER" 2>/dev/null || ((SECONDS > until)); then
      echo "The server of $1 KV heads did not start: see $RESULTS/kv$1.server.log" >&2
      exit 1
    fi
    sleep "${POLL_S:-1}"
  done
}

# is_complete FILE REQUESTS: whether 99 % of them were answered, in a result that can be read.
is_complete() {
  [[ -s "$1" ]] && python3 - "$1" "$2" <<'PYTHON'
import json
import sys

try:
    with open(sys.argv[1], encoding="utf-8") as file:
        answered = float(json.load(file)["completed"])
except (ValueError, KeyError, TypeError):
    answered = 0
sys.exit(not answered >= 0.99 * int(sys.argv[2]))
PYTHON
}

is_asked() {
  [[ ${#KINDS[@]} -gt 0 ]] || return 0
  local kind
  for kind in "${KINDS[@]}"; do
    [[ "$1" != kv*-"$kind"-* ]] || return 0
  done
  return 1
}

# What the server counted since it was started: preemptions, use of the KV cache.
keep_metrics() {
  python3 -c 'import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())' \
    "http://127.0.0.1:$PORT/metrics" >"$1" 2>/dev/null || true
}

# run KV_HEADS SEED RATE BURSTINESS REQUESTS FILE
run() {
  is_asked "$6" || return 0
  if is_complete "$RESULTS/$6" "$5"; then
    echo "$6 is there"
    return 0
  fi
  serve "$1"
  local requests=(@REQUESTS@) about=("num_kv_heads=$1")
  [[ -z "$HARDWARE" ]] || about+=("hardware=$HARDWARE")
  echo "$6"
  vllm bench serve --backend vllm --endpoint /v1/completions --host 127.0.0.1 --port "$PORT" \
    --model "$SERVED" "${requests[@]}" --num-prompts "$5" --request-rate "$3" --burstiness "$4" \
    --seed "$2" "${BENCH[@]}" --save-result --save-detailed --metadata "${about[@]}" \
    --result-dir "$RESULTS" \
    --result-filename "$6.part" >"$RESULTS/${6%.json}.log" 2>&1 || {
    echo "It failed: see $RESULTS/${6%.json}.log" >&2
    exit 1
  }
  if ! kill -0 "$SERVER" 2>/dev/null || ! is_complete "$RESULTS/$6.part" "$5"; then
    echo "The server stopped, or failed more than 1 % of the requests: see $RESULTS/$6.part," \
      "$RESULTS/${6%.json}.log and $RESULTS/kv$1.server.log. The run is made again next time." >&2
    exit 1
  fi
  keep_metrics "$RESULTS/${6%.json}.metrics.txt"
  mv "$RESULTS/$6.part" "$RESULTS/$6"
}

{
  date -u
  uname -a
  vllm --version || true
  nvidia-smi || true
  python3 -m pip freeze 2>/dev/null | grep -iE '^(vllm|torch|flash|triton|transformers)' || true
} >>"$RESULTS/environment.txt" 2>&1

@PROMPTS@
@RUNS@

case $RESULTS in /*) place=$RESULTS ;; *) place=$PWD/$RESULTS ;; esac
printf 'All runs are done. Compare them: gqa plan %q --results %q/*.json\n' "$PWD" "$place"
