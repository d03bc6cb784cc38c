"""The keys of one config: what is asked for is understood, and what nobody asks for is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from .files import class_defaults, resource

# A key with one of these in its name could say something of the cache, or of what is cached.
_CONCERNS = re.compile(
    "att[en]|kv|key|value|cache|window|slid|swa|rope|rotary|position|state|ssm|mamba|conv|linear"
    "|recur|lru|delta|retent|index|layer|block|head|latent|lora|compress|shar|reus|chunk|sparse"
    "|local|global|pattern|interval|period|offset|mem|cross|encod|decod|yoco|cla_|use_cla|hybrid|mixer"
    "|group|span|context|sink|type|seq|loop|repeat|ut_step|universal|meta|mla|nsa|depth"
)

_FASTER = ("_", "flash_", "use_flash", "fused_", "use_fused", "tokenizer")  # the same, otherwise
_MARKS = ("_token_index", "_token_id", "ignore_index")  # of tokens in a prompt
_OFF: tuple[Any, ...] = (None, False, [], {}, "")
_LARGEST = 10**9  # a vocabulary, a width, a context: none comes near


class Keys:
    """The keys of a text model's config, over the defaults of its class.

    Args:
        given: the keys in the file.
        origin: what to call the file in a message.
    """

    def __init__(self, given: Mapping, origin: str):
        self.origin = origin
        self.family = self._text(given.get("model_type", ""), "model_type")
        self._given, self._asked = given, {"model_type"}
        self._defaults = class_defaults().get(self.family, {})
        self.known_family = self.family in class_defaults()
        self.assumed: dict[str, Any] = {}  # what was asked for and the file leaves to its class

    def get(self, *names: str) -> Any:
        """Return the first of these that the file has, or its class; None where none is there."""
        self._asked |= set(names)
        for place in (self._given, self._defaults):
            for name in names:
                if place.get(name) is not None:
                    if place is self._defaults:
                        self.assumed[name] = place[name]
                    return place[name]
            if place is self._given and any(name in place for name in names):
                return None  # null in the file overrules the class
        return None

    def has(self, *names: str) -> bool:
        """Return whether the file itself says one of these, and not null."""
        self._asked |= set(names)
        return any(self._given.get(name) is not None for name in names)

    def is_null(self, name: str) -> bool:
        """Return whether the file has that key, with null for its value."""
        self._asked.add(name)
        return name in self._given and self._given[name] is None

    def size(self, *names: str) -> int | None:
        """Return a whole number above 0, or None where it is missing.

        Raises:
            ValueError: it is something else.
        """
        value = self.get(*names)
        return None if value is None else self.whole(value, self._name(names), least=1)

    def count(self, *names: str) -> int:
        """Return a whole number, 0 where it is missing.

        Raises:
            ValueError: it is something else.
        """
        value = self.get(*names)
        return 0 if value is None else self.whole(value, self._name(names), least=0)

    def flag(self, *names: str, default: bool = False) -> bool:
        """Return true or false, `default` where it is missing.

        Raises:
            ValueError: it is neither.
        """
        value = self.get(*names)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(self._name(names), value, "true or false")
        return value

    def sizes(self, length: int, *names: str, least: int = 0) -> list[int] | None:
        """Return a list of whole numbers, one for each of `length` layers; None where missing.

        Args:
            length: layers.
            names: what the list may be called.
            least: the least that each number may be.

        Raises:
            ValueError: it is something else.
        """
        value = self.get(*names)
        if value is None:
            return None
        listed = self.per_layer(value, length, names)
        return [self.whole(one, self._name(names), least) for one in listed]

    def per_layer(self, value: Any, length: int, names: Iterable[str]) -> list:
        """Return a list that has one entry per layer.

        Args:
            value: what a key holds.
            length: layers.
            names: what the key may be called.

        Raises:
            ValueError: it is no list, or has another length.
        """
        name = self._name(names)
        if not isinstance(value, list):
            raise self.wrong(name, value, "a list with one entry per layer")
        if len(value) != length:
            raise ValueError(
                f"{self.origin}: {name} has {len(value)} entries for {length} layers: each layer "
                "has a kind of its own, so none can be left to guessing."
            )
        return value

    def keys_of(self, name: str, known: Iterable[str] | None = None) -> Mapping:
        """Return what an entry that holds keys of its own holds, {} where it is missing.

        Args:
            name: the entry.
            known: the keys that it may hold; any unless given.

        Raises:
            ValueError: it holds something else.
        """
        value = self.get(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise self.wrong(name, value, "keys and values")
        off = (*_OFF, -1)
        odd = [] if known is None else [k for k in value if k not in known and value[k] not in off]
        if odd:
            raise ValueError(
                f"{self.origin}: {odd[0]}={_short(value[odd[0]])} in {name} is not understood, and "
                "could change what is cached."
            )
        return value

    def whole(self, value: Any, name: str, least: int) -> int:
        """Return a whole number.

        Args:
            value: what a key holds.
            name: the key.
            least: the least that it may be.

        Raises:
            ValueError: it is something else, or less than `least`.
        """
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not least <= value <= _LARGEST:
            raise self.wrong(name, value, f"a whole number, {least} or more (up to {_LARGEST:,})")
        return value

    def wrong(self, name: str, value: Any, wanted: str) -> ValueError:
        """Return the error that a key's value is not what it should be.

        Args:
            name: the key.
            value: what it holds.
            wanted: what it should be.
        """
        return ValueError(f"{self.origin}: {name}={_short(value)} should be {wanted}.")

    def skip(self, *names: str) -> None:
        """Note keys that say what another key has said already."""
        self._asked |= set(names)

    def agreed(self, *names: str) -> int | None:
        """Return a size that a file may call by several names, None where it is missing.

        Raises:
            ValueError: the file calls it by two names and gives two numbers.
        """
        told = {name: self._given[name] for name in names if self._given.get(name) is not None}
        if len(set(map(str, told.values()))) > 1:
            raise ValueError(f"{self.origin}: {told} name one size, and say different things.")
        return self.size(*names)

    def refuse_what_its_class_works_out(self) -> None:
        """Make sure that the file says what its class would work out in a way not known here.

        Raises:
            ValueError: it does not.
        """
        missing = [one for one in self._defaults.get("must_say", ()) if one not in self._given]
        if missing:
            raise ValueError(
                f"{self.origin}: it leaves {missing[0]} to its class ({self.family}), which works "
                "it out in a way that is not known here. Give the whole config.json."
            )

    def refuse_what_nobody_asked_for(self, beside: Mapping) -> None:
        """Make sure that every key which could concern the cache was understood.

        Args:
            beside: keys that stand beside the text part, in a model of several parts.

        Raises:
            ValueError: one was not.
        """
        for name, value in (*self._given.items(), *beside.items()):
            if name not in self._asked and concerns(name, value):
                raise ValueError(
                    f"{self.origin}: {name}={_short(value)} is not understood, and could change "
                    "what is cached: a figure that leaves it out would look right. Build a "
                    "ModelConfig by hand, or report the model."
                )

    def afresh(self) -> Keys:
        """Return the same keys, none of them asked for yet."""
        return Keys(self._given, self.origin)

    def not_asked_for(self) -> list[str]:
        """Return the keys of the file that say something and that nobody has asked for."""
        return [k for k, v in self._given.items() if v not in _OFF and k not in self._asked]

    def unread(self) -> dict[str, Any]:
        """Return the keys of the file that nobody has asked for, whatever they hold."""
        return {name: value for name, value in self._given.items() if name not in self._asked}

    def _name(self, names: Iterable[str]) -> str:
        """What the file calls it."""
        names = tuple(names)
        return next((name for name in names if name in self._given), names[0])

    def _text(self, value: Any, name: str) -> str:
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{self.origin}: {name}={_short(value)} should be text.")
        return value or ""


def concerns(name: str, value: Any) -> bool:
    """Return whether a key could say something of what is cached, as far as its name goes.

    Args:
        name: the key.
        value: what it holds; what is off says nothing.
    """
    said = value not in _OFF and name not in _harmless()
    named = not (name.startswith(_FASTER) or name.endswith(_MARKS))
    return said and named and bool(_CONCERNS.search(name.lower()))


@cache
def _harmless() -> frozenset[str]:
    """Keys that concern attention or layers by their name, and change nothing that is cached."""
    lines = (line.partition("#")[0] for line in resource("harmless.txt").splitlines())
    return frozenset(word for line in lines for word in line.split())


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
