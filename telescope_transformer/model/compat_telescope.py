"""The function that the model uses from transformers beyond its documented interface.

transformers 5 uses it in its own models but does not promise to keep it. Everything else in this folder uses public
classes. `tests/model/test_common.py` fails if it changes.

`can_return_tuple` makes `return_dict=False` give a tuple.
"""

from transformers.utils.generic import can_return_tuple

__all__ = ["can_return_tuple"]
