"""Tokens of flow records: a fixed number of words per record, and the inter-arrival time as a separate input.

The record `{"dst_ip": "192.0.2.1", "dst_port": 443, "protocol": 6}` becomes the words `dst_octet_1:192 dst_octet_2:0
dst_octet_3:2 dst_octet_4:1 dst_port:443 protocol:6`. The ids come from a word-level vocabulary of the `tokenizers`
library. The words of a field have a contiguous range of ids, so a column of numbers becomes ids by adding an offset.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import BatchEncoding, PreTrainedTokenizerFast

from .configuration_telescope import DEFAULT_FIELDS, FIELD_SIZES, FIRST_FIELD_ID, field_offsets
from .encoding_telescope import WindowEncoder
from .flow_fields import MISSING, field_value
from .flow_sequences import as_sequences, as_table, check_names, is_sequence, records_of
from .flow_times import seconds_of_records, seconds_of_table
from .sharing_telescope import SharedWithCode

PAD_TOKEN, UNK_TOKEN = "[PAD]", "[UNK]"
# Equal to the default `max_position_embeddings` of the model.
MODEL_MAX_LENGTH = 512
# Options, besides tokens, that transformers accepts for any tokenizer.
OPTIONS = {"model_max_length", "padding_side", "truncation_side", "model_input_names", "clean_up_tokenization_spaces"}
OPTIONS |= {"chat_template", "tokenizer_object", "tokenizer_file", "name_or_path"}
# What a call takes for these options, as far as it has a meaning for records. transformers also has names for False.
PADDINGS, NO_PADDING = (True, False, "longest", "max_length"), "do_not_pad"
TRUNCATIONS, NO_TRUNCATION = (True, False, "longest_first", "only_first"), "do_not_truncate"
# Options of a call that have no effect on records. Code for arbitrary tokenizers may pass them.
WITHOUT_EFFECT = {"add_special_tokens", "return_attention_mask", "verbose"}


def build_vocabulary(fields: Sequence[str]) -> dict[str, int]:
    """Map words to ids: [PAD] 0, [UNK] 1, then every value of every field, in the order of `fields`."""
    unknown = [name for name in fields if name not in FIELD_SIZES]
    if unknown or len(set(fields)) != len(fields):
        raise ValueError(f"fields must be distinct names of {sorted(FIELD_SIZES)}, not {list(fields)}")
    return {word: place for place, word in enumerate(_words(fields))}


def _words(fields: Sequence[str]) -> Iterator[str]:
    """All words of a vocabulary in the order of their ids."""
    yield from (PAD_TOKEN, UNK_TOKEN)
    for name in fields:
        yield from (f"{name}:{value}" for value in range(FIELD_SIZES[name]))


def read_field_offsets(vocabulary: Tokenizer) -> dict[str, int]:
    """First id of each field of a vocabulary, in ascending order.

    Raises:
        ValueError: if the words of a field do not have the contiguous range of ids that the model expects.
    """
    firsts = {vocabulary.token_to_id(f"{name}:0"): name for name in FIELD_SIZES}
    fields = [firsts[first] for first in sorted(first for first in firsts if first is not None)]
    size = vocabulary.get_vocab_size(with_added_tokens=False)
    same_size = size == FIRST_FIELD_ID + sum(FIELD_SIZES[name] for name in fields)
    # Compared word by word, because a dictionary of all words takes tens of megabytes.
    if not same_size or any(vocabulary.id_to_token(place) != word for place, word in enumerate(_words(fields))):
        raise ValueError(f"the vocabulary of {size} words is not one of contiguous fields {fields}")
    return field_offsets(fields)


def _check_new(vocab: Mapping[str, int] | None, options: Mapping[str, Any]) -> None:
    """Check the options of a tokenizer that is not read from a file.

    Raises:
        FileNotFoundError: if the named checkpoint has no tokenizer; transformers would use the default one.
        TypeError: for an unknown option, which transformers would ignore.
    """
    if options.get("name_or_path"):
        if vocab is None:
            raise FileNotFoundError(f"{options['name_or_path']}: no tokenizer.json of a checkpoint was found there")
    elif unknown := [name for name in options if name not in OPTIONS and not name.endswith(("_token", "_tokens"))]:
        raise TypeError(f"FlowTokenizer has no option {unknown[0]!r}")


def _check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    if value not in choices:
        known = " or ".join([", ".join(map(repr, choices[:-1])), repr(choices[-1])])
        raise ValueError(f"{name} must be {known}, not {value!r}")


def _check_records(name: str, value: Any) -> None:
    if value is not None and not (isinstance(value, (int, np.integer)) and value >= 1):
        raise ValueError(f"{name} must be at least 1 record, not {value!r}")


class FlowTokenizer(SharedWithCode, WindowEncoder, PreTrainedTokenizerFast):  # type: ignore[misc]
    """Tokenizer of flow records.

    Args:
        fields: the fields of a token, names of `FIELD_SIZES`; by default the octets and port of the destination, and
            the protocol.

    A sequence is a list of records (dictionaries), a dictionary of columns, an Arrow table or a data frame, in time
    order. A record has `dst_ip` (text, or an IPv4 address as an integer), `protocol` (a number, or a name such as
    "tcp"), the other fields by name, and `timestamp` (integer microseconds or a `datetime`) or `inter_arrival`
    (seconds since the previous record). Missing fields become [UNK]. Padding follows the records, or precedes them if
    `padding_side` is "left".

    Example:
        >>> tokenizer = FlowTokenizer()
        >>> record = {"timestamp": 0, "dst_ip": "192.0.2.1", "dst_port": 443, "protocol": 6}
        >>> tokenizer.decode(tokenizer([record])["input_ids"])
        [{'dst_ip': '192.0.2.1', 'dst_port': 443, 'protocol': 6}]
    """

    vocab_files_names = {"tokenizer_file": "tokenizer.json"}  # noqa: RUF012
    model_input_names = ["input_ids", "inter_arrival", "attention_mask"]  # noqa: RUF012
    padding_side = "right"

    def __init__(
        self, fields: Sequence[str] | None = None, vocab: Mapping[str, int] | None = None, **kwargs: Any
    ) -> None:
        if kwargs.get("tokenizer_object") is None and kwargs.get("tokenizer_file") is None:
            _check_new(vocab, kwargs)
            words = dict(vocab) if vocab else build_vocabulary(tuple(fields or DEFAULT_FIELDS))
            backend = Tokenizer(WordLevel(words, unk_token=UNK_TOKEN))
            backend.pre_tokenizer = WhitespaceSplit()
            kwargs["tokenizer_object"] = backend
        kwargs.setdefault("model_max_length", MODEL_MAX_LENGTH)
        # The ids of both tokens are part of the format, so a tokenizer_config.json cannot change them.
        # Not the `__init__` of `WindowEncoder`, because the vocabulary says which fields there are.
        PreTrainedTokenizerFast.__init__(self, **kwargs | {"unk_token": UNK_TOKEN, "pad_token": PAD_TOKEN})
        self.field_offsets = read_field_offsets(self.backend_tokenizer)

    @classmethod
    def from_pretrained(cls, *args: Any, **options: Any) -> "FlowTokenizer":
        """Load as in transformers. If a tokenizer is missing, the error says where, unlike that of transformers."""
        try:
            return super().from_pretrained(*args, **options)  # type: ignore[no-any-return]
        except OSError as error:
            if isinstance(error.__context__, FileNotFoundError):
                raise error.__context__ from None
            raise

    def __call__(
        self,
        records: Any,
        *,
        padding: bool | str = False,
        truncation: bool | str = False,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        return_tensors: str | None = None,
        **kwargs: Any,
    ) -> BatchEncoding:
        """Encode one sequence or several. Text (the words of records) goes to the method of transformers.

        Args:
            records: a sequence, or an iterable of sequences; a generator is read to its end.
            padding: `True` or `"longest"`, or `"max_length"`.
            truncation: truncate sequences after `max_length` (by default `model_max_length`) records.
            return_tensors: `"pt"` or `"np"` stacks the sequences, also a single one, along a first axis.

        Returns:
            `input_ids` int64 (records, fields), `inter_arrival` float32 (records,) in seconds and `attention_mask`
            int64 (records,); with a first axis of sequences for a batch.

        Raises:
            ValueError: if records are not in time order, lack both `timestamp` and `inter_arrival`, or have a field
                that looks misspelt; if a value or an option is not possible.
            TypeError: for an unknown option, or if `records` are no sequence.
        """
        records = as_sequences(records)
        if isinstance(records, str) or (isinstance(records, list) and records and isinstance(records[0], str)):
            of_text: BatchEncoding = super().__call__(
                records, padding=padding, truncation=truncation, max_length=max_length, **kwargs
            )
            return of_text
        side = kwargs.pop("padding_side", None)
        if unknown := [name for name in kwargs if name not in WITHOUT_EFFECT]:
            raise TypeError(f"FlowTokenizer has no option {unknown[0]!r} for records")
        padding = padding != NO_PADDING and padding
        truncation = truncation != NO_TRUNCATION and truncation
        _check_choice("padding", padding, PADDINGS)
        _check_choice("truncation", truncation, TRUNCATIONS)
        _check_records("max_length", max_length)
        single = is_sequence(records)
        encoded = [self._encode(sequence) for sequence in ([records] if single else records)]
        if truncation:
            limit = max_length or self.model_max_length
            encoded = [{name: values[:limit] for name, values in sequence.items()} for sequence in encoded]
        if not padding and return_tensors is None:
            return BatchEncoding(
                encoded[0] if single else {name: [e[name] for e in encoded] for name in self.model_input_names}
            )
        return self.pad(
            encoded, padding, max_length, pad_to_multiple_of, return_tensors=return_tensors, padding_side=side
        )

    def _encode(self, sequence: Any) -> dict[str, np.ndarray]:
        sequence = as_table(sequence)
        check_names(sequence, self.fields)
        if isinstance(sequence, (list, tuple, Mapping)):
            records = records_of(sequence) if isinstance(sequence, Mapping) else sequence
            ids = self.backend_tokenizer.encode(self.spell(records), add_special_tokens=False).ids
            input_ids = np.array(ids, dtype=np.int64).reshape(len(records), len(self.fields))
            seconds = seconds_of_records(records)
        else:
            input_ids = self.encode_columns(sequence).astype(np.int64)
            seconds = seconds_of_table(sequence)
        return {
            "input_ids": input_ids,
            "inter_arrival": seconds,
            "attention_mask": np.ones(len(input_ids), dtype=np.int64),
        }

    def spell(self, records: Sequence[Mapping[str, Any]]) -> str:
        """The words of records, separated by spaces."""
        values = ((name, field_value(record, name)) for record in records for name in self.fields)
        return " ".join(UNK_TOKEN if value == MISSING else f"{name}:{value}" for name, value in values)

    def pad(  # type: ignore[override]
        self,
        encoded_inputs: Any,
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        return_tensors: str | None = None,
        padding_side: str | None = None,
        **kwargs: Any,
    ) -> BatchEncoding:
        """Stack encoded sequences (a list of encodings, or one encoding of lists) to one length.

        Numbers that the encodings have besides the inputs of the model, such as a `label`, are stacked as they are.

        Raises:
            ValueError: if sequences differ in length and `padding` is off, one is longer than `max_length`, or an
                encoding is not one of this tokenizer; if an option is not possible.
        """
        _check_choice("padding_side", padding_side or self.padding_side, ("left", "right"))
        _check_records("pad_to_multiple_of", pad_to_multiple_of)
        if isinstance(encoded_inputs, Mapping):
            names = list(encoded_inputs.keys())
            encoded_inputs = [dict(zip(names, row, strict=True)) for row in zip(*encoded_inputs.values(), strict=True)]
        sequences = [self._arrays(place, encoding) for place, encoding in enumerate(encoded_inputs)]
        lengths = np.array([len(ids) for ids, _ in sequences])
        length = int(lengths.max(initial=0))
        if padding == "max_length":
            length = max_length or self.model_max_length
        if padding and pad_to_multiple_of:
            length = -(-length // pad_to_multiple_of) * pad_to_multiple_of
        if lengths.max(initial=0) > length or (not padding and len(set(lengths.tolist())) > 1):
            raise ValueError(f"sequences of {sorted(set(lengths.tolist()))} records do not stack: pad or truncate")
        shape = (len(lengths), length)
        begins = length - lengths if (padding_side or self.padding_side) == "left" else np.zeros_like(lengths)
        place = np.arange(length) - begins[:, None]
        batch: dict[str, np.ndarray] = {
            "input_ids": np.full((*shape, len(self.fields)), self.pad_token_id, dtype=np.int64),
            "inter_arrival": np.zeros(shape, dtype=np.float32),
            "attention_mask": ((place >= 0) & (place < lengths[:, None])).astype(np.int64),
        }
        for row, (ids, seconds) in enumerate(sequences):
            span = slice(begins[row], begins[row] + lengths[row])
            batch["input_ids"][row, span], batch["inter_arrival"][row, span] = ids, seconds
        others = set.intersection(*map(set, encoded_inputs)) - {*batch} if encoded_inputs else set()
        for name in sorted(others):
            values = [sequence[name] for sequence in encoded_inputs]
            if all(np.ndim(value) == 0 and np.asarray(value).dtype.kind in "biuf" for value in values):
                batch[name] = np.array(values)
        return BatchEncoding(batch, tensor_type=return_tensors)

    def _arrays(self, place: int, encoding: Any) -> tuple[np.ndarray, np.ndarray]:
        """`input_ids` (n, fields) and `inter_arrival` (n,) of an encoding, whose place is for the message."""
        if not isinstance(encoding, Mapping):
            raise TypeError(f"encoding {place} must be a dictionary of inputs, not {type(encoding).__name__}")
        for name in ("input_ids", "inter_arrival"):
            if name not in encoding:
                raise ValueError(f"encoding {place} has no {name}")
        ids, seconds = np.asarray(encoding["input_ids"]), np.asarray(encoding["inter_arrival"])
        # A list without records does not show the number of fields.
        ids = ids if ids.size else ids.reshape(0, len(self.fields))
        if ids.ndim != 2 or ids.shape[1] != len(self.fields) or seconds.shape != ids.shape[:1]:
            raise ValueError(
                f"encoding {place} has input_ids of shape {ids.shape} and inter_arrival of shape {seconds.shape}; a "
                f"sequence of n records has (n, {len(self.fields)}) and (n,)"
            )
        return ids, seconds

    def decode(  # type: ignore[override]
        self, token_ids: Any, inter_arrival: Any = None, **kwargs: Any
    ) -> list[dict[str, Any]] | list[list[dict[str, Any]]]:
        """Records from ids (records, fields) or (batch, records, fields). [PAD] is left out, and [UNK] becomes None.

        Destinations become dotted quads; for IPv6 that is the folded address. `inter_arrival`, of the same shape
        without the last axis, is added to the records if given.

        Raises:
            ValueError: if the ids have another shape, or one is not a value of its field.
        """
        ids = np.asarray(token_ids)
        if ids.ndim == 3:
            times = [None] * len(ids) if inter_arrival is None else inter_arrival
            return [self._decode_sequence(*pair) for pair in zip(ids, times, strict=True)]
        return self._decode_sequence(ids, inter_arrival)

    def batch_decode(self, sequences: Any, **kwargs: Any) -> list[list[dict[str, Any]]]:  # type: ignore[override]
        """`decode` of each of several sequences."""
        return [self._decode_sequence(np.asarray(ids), None) for ids in sequences]

    def _decode_sequence(self, ids: np.ndarray, inter_arrival: Any) -> list[dict[str, Any]]:
        if ids.size == 0:
            return []
        if ids.ndim != 2 or ids.shape[1] != len(self.fields):
            raise ValueError(f"ids of a sequence must be (records, {len(self.fields)}), not {ids.shape}")
        real = (ids != self.pad_token_id).any(axis=-1)
        records = [self._record(row) for row in ids[real]]
        if inter_arrival is not None:
            for record, seconds in zip(records, np.asarray(inter_arrival)[real].tolist(), strict=True):
                record["inter_arrival"] = seconds
        return records

    def _record(self, ids: np.ndarray) -> dict[str, Any]:
        values: dict[str, int | None] = {}
        for (name, offset), word_id in zip(self.field_offsets.items(), ids.tolist(), strict=True):
            values[name] = None if word_id == self.unk_token_id else int(word_id) - offset
            if word_id != self.unk_token_id and not 0 <= word_id - offset < FIELD_SIZES[name]:
                raise ValueError(f"id {word_id} is not a value of {name}")
        octets = [str(values.pop(name)) for name in self.fields if name.startswith("dst_octet_")]
        address = {"dst_ip": None if "None" in octets else ".".join(octets)} if octets else {}
        return address | values
