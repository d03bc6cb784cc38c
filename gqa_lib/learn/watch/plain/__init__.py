"""Plain code: definitions that can be run where a watch must be believed.

A watch sits in the process of the code it watches, and Python lets any code reach any object of its
process. So what is seen of an answer counts only where nothing but plain code has run: code that
names what it uses, out of torch, math and the like, and can therefore touch nothing else.
"""

from .names import PlainNames
from .notebook import plain_here, refusal_here
from .rules import NotPlain

__all__ = ["NotPlain", "PlainNames", "plain_here", "refusal_here"]
