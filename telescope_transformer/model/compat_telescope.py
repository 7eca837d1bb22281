"""The functions that the model uses from transformers beyond its documented interface, in one place.

transformers 5 uses these functions in its own models but does not promise to keep them. Everything else in this folder
uses public classes. `tests/model/test_common.py` fails if one of these functions changes.

- `capture_outputs` fills `hidden_states` and `attentions` of an output if a caller requests them.
- `merge_with_config_defaults` reads from the configuration the options that a caller does not set.
- `can_return_tuple` makes `return_dict=False` give a tuple.
"""

from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

__all__ = ["can_return_tuple", "capture_outputs", "merge_with_config_defaults"]
