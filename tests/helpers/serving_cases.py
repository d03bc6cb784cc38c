"""A tiny model to serve, what it says alone, and what must hold of an engine after every step."""

from collections import Counter

import torch
from clocks import Clock

from gqa_lib.configs import ModelConfig
from gqa_lib.model import LanguageModel
from gqa_lib.serving import Engine, Request
from gqa_lib.serving.checks import attentions

VOCAB, WINDOW = 48, 5


def tiny_model(dtype=torch.float64, seed=0, **changes) -> LanguageModel:
    """A model of two layers, the second with a window, whose next token hangs on all before it."""
    sizes = {"windows": (None, WINDOW), "d_ff": 20, "vocab_size": VOCAB, **changes}
    config = ModelConfig("tiny", 2, 6, 2, 4, 24, **sizes)
    torch.manual_seed(seed)
    model = LanguageModel(config, dtype=dtype)
    with torch.no_grad():
        for one in attentions(model):  # attention outweighs the token itself, and is not a mean
            one.qkv_proj.weight *= 3
            one.o_proj.weight *= 6
    return model


class Solo:
    """What a model says to a prompt alone: no cache, every token computed again for the next."""

    def __init__(self, model):
        self.model, self._known = model, dict[tuple[int, ...], int]()

    @torch.no_grad()
    def __call__(self, prompt, max_new_tokens, stop=()) -> list[int]:
        tokens = list(prompt)
        for _ in range(max_new_tokens):
            key = tuple(tokens)
            if key not in self._known:
                self._known[key] = self.model(torch.tensor([tokens]))[0, -1].argmax().item()
            tokens.append(self._known[key])
            if tokens[-1] in stop:
                break
        return tokens[len(prompt) :]


class Watched:
    """An engine whose memory begins as NaN and that is looked at after each step."""

    def __init__(self, model, num_blocks, **options):
        self.engine = Engine(model, num_blocks, clock=Clock(1.0), **options)
        self.requests: list[Request] = []
        self.steps: list = []
        self._content: dict = {}  # of blocks that can be found, as it was when they could first be
        for pages in self.engine._pages:
            pages.k.fill_(torch.nan)
            pages.v.fill_(torch.nan)

    def add(self, *args, **options) -> Request:
        """Add a request, which is remembered."""
        self.requests.append(self.engine.add(*args, **options))
        return self.requests[-1]

    def step(self):
        """Make a step and check that nothing is lost, shared by mistake or overwritten."""
        before = {request: list(request.blocks) for request in self.engine.running}
        step = self.engine.step()
        self.steps.append(step)
        self.check()
        assert step.num_seqs > 0, "a step in which nobody comes further"
        assert step.num_decodes + step.prefill_tokens <= self.engine._scheduler._max_tokens
        assert step.running <= self.engine._scheduler._max_num_seqs
        if before:  # who runs longest comes further in every step
            first = next(iter(before))
            assert first.finished or first in self.engine.running
        return step

    def run(self):
        """Make steps until nothing is left to do."""
        while self.engine.running or self.engine.waiting:
            self.step()
        self.check_empty()

    def check(self):
        """Check references, lengths and that blocks which can be found are as they were."""
        pool, running = self.engine.pool, self.engine.running
        tables = Counter(block for request in running for block in request.blocks)
        for block in range(pool.num_blocks):
            assert pool.references(block) == tables[block]
        assert pool.num_free == pool.num_blocks - len(tables)
        for request in running:
            assert len(request.blocks) == pool.blocks_for(request.num_cached)
            assert len(set(request.blocks)) == len(request.blocks)
        for request in self.requests:
            if request not in running:
                assert not request.blocks
                assert not request.num_cached
        self._check_content(pool)

    def check_empty(self):
        """Check that no sequence has a block any more."""
        assert self.engine.pool.num_used == 0
        assert all(request.finished for request in self.requests)

    def _check_content(self, pool):
        memory = [m for pages in self.engine._pages for m in (pages.k, pages.v)]
        known, self._content = self._content, {}
        for name in pool._key_of.items():
            now = torch.stack([m[name[0]] for m in memory])
            assert not now.isnan().any(), "a block that is not full"
            assert torch.equal(now, known.get(name, now)), (
                "a block that others may have was written"
            )
            self._content[name] = known.get(name, now)
