"""An evicting cache as plainly as it can be written: lists of rows in float64."""

import math

import torch

from gqa_lib.attention import rotate


class NaiveEviction:
    """For each row of the batch and each KV head a list of dicts with position, k, v and `seen`.

    `seen` is a list of (position of a query, mean of its probabilities over the query heads).
    """

    def __init__(self, B, Hkv, score, budget, *, num_sinks=0, recent=1, interval=1, places=False):
        self.rows: list[list[list[dict]]] = [[[] for _ in range(Hkv)] for _ in range(B)]
        self.queries: list[list[torch.Tensor]] = [[] for _ in range(B)]  # of each token, (Hq, D)
        self.lengths = [0] * B
        self.score, self.budget, self.num_sinks = score, budget, num_sinks
        self.recent, self.interval, self.places = recent, interval, places

    def step(self, q, k, v, counts, window=None):
        """Append, attend, then evict; return (B, Hq, T, D) with zeros for padding."""
        out = torch.zeros_like(q)
        for b, n in enumerate(counts):
            start = self.lengths[b]
            for t in range(n):
                for h, rows in enumerate(self.rows[b]):
                    row = {"position": start + t, "k": k[b, h, t], "v": v[b, h, t], "seen": []}
                    rows.append(row)
                self.queries[b].append(q[b, :, t])
            self.lengths[b] += n
            for t in range(n):
                out[b, :, t] = self.attend(b, start + t, q[b, :, t], window)
            if n and len(self.rows[b][0]) >= self.budget + self.interval:
                for h in range(len(self.rows[b])):
                    self.evict(b, h, window)
        return out

    def weights(self, b, h, position, q, window=None):
        """(rows that a query sees, its probabilities (R, rows)) for the R heads of a KV head."""
        R = q.shape[0] // len(self.rows[b])
        seen = [
            row
            for row in self.rows[b][h]
            if row["position"] <= position and (not window or row["position"] > position - window)
        ]
        keys, q = torch.stack([row["k"] for row in seen]), q[h * R : (h + 1) * R]
        if self.places:
            order = sorted(row["position"] for row in self.rows[b][h])
            at = torch.tensor([order.index(row["position"]) for row in seen])
            behind = self.lengths[b] - 1 - position
            keys = rotate(keys, at)
            q = rotate(q[:, None], torch.tensor([len(order) - 1 - behind]))[:, 0]
        return seen, (q @ keys.T / math.sqrt(q.shape[1])).softmax(-1)

    def attend(self, b, position, q, window):
        outs = []
        for h in range(len(self.rows[b])):
            seen, weights = self.weights(b, h, position, q, window)
            outs.append(weights @ torch.stack([row["v"] for row in seen]))
            seen, weights = self.weights(b, h, position, q)  # policies know no window
            for row, weight in zip(seen, weights.mean(0).tolist(), strict=True):
                row["seen"].append((position, weight))
        return torch.cat(outs)

    def evict(self, b, h, window):
        rows, newest = self.rows[b][h], self.lengths[b] - 1
        scores = self.score(self, b, h)
        for row, score in zip(rows, scores, strict=True):
            protected = row["position"] < self.num_sinks or row["position"] > newest - self.recent
            row["score"] = math.inf if protected else float(score)
            if window and row["position"] <= newest - max(window - 1, self.recent):
                row["score"] = (row["position"] - newest) * 1e290  # no later token sees it
        kept = sorted(rows, key=lambda row: -row["score"])[: self.budget]
        self.rows[b][h] = sorted(kept, key=lambda row: row["position"])

    def kept(self, b):
        return [[row["position"] for row in rows] for rows in self.rows[b]]


def by_position(naive, b, h):
    return [row["position"] for row in naive.rows[b][h]]


def by_age(naive, b, h):
    return [-row["position"] for row in naive.rows[b][h]]


def with_sinks(num_sinks):
    def score(naive, b, h):
        at = by_position(naive, b, h)
        return [math.inf if position < num_sinks else position for position in at]

    return score


def by_policy(policy):
    """The scores of a policy that looks at positions only."""

    def score(naive, b, h):
        positions = torch.zeros(1, h + 1, len(naive.rows[b][h]), dtype=torch.int32)
        positions[0, h] = torch.tensor(by_position(naive, b, h))
        none = torch.empty(0)
        return policy.score(none, none, none, positions)[0, h].tolist()

    return score


def by_attention(decay, mean):
    """What each row got from the queries that saw it, older queries counting less."""

    def score(naive, b, h):
        newest, scores = naive.lengths[b] - 1, []
        for row in naive.rows[b][h]:
            total = sum(decay ** (newest - at) * weight for at, weight in row["seen"])
            scores.append(
                total / (sum(decay ** (newest - at) for at, _ in row["seen"]) if mean else 1)
            )
        return scores

    return score


def by_newest_queries(window, kernel):
    """What the newest queries give each row and its neighbours, on average."""

    def score(naive, b, h):
        rows, length = naive.rows[b][h], naive.lengths[b]
        given = {row["position"]: 0.0 for row in rows}
        for position in range(max(0, length - window), length):
            seen, weights = naive.weights(b, h, position, naive.queries[b][position])
            for row, weight in zip(seen, weights.mean(0).tolist(), strict=True):
                given[row["position"]] += weight
        own, half = [at for at in given if at >= length - window], kernel // 2
        each = [weight for at, weight in given.items() if at not in own]
        parts = [each[max(0, i - half) : i + half + 1] for i in range(len(each))]
        return [sum(part) / len(part) for part in parts] + [given[at] for at in own]

    return score
