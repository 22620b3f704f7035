"""Tokenizer folder → counter of tokens, as exact as the encoder's own, without torch.

The one home of the ``tokenizers`` library, and of jinja2 for chat templates; both are
imported when a folder is first read.
"""

from studio.library.tokens.counter import Counters, load_counter

__all__ = ["Counters", "load_counter"]
