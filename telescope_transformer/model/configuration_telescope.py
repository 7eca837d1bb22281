"""Configuration of the telescope model, and the fields of a token."""

from dataclasses import field
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

# Ids: [PAD] is 0, [UNK] is 1, and the values of the fields follow.
PAD_TOKEN_ID, UNK_TOKEN_ID = 0, 1
FIRST_FIELD_ID = 2

# Increased when old code would misread new checkpoints, or new code old ones. Format 4 has a single encoder.
FORMAT_VERSION = 4

# The values of a field are 0 .. size - 1, and its ids are a contiguous range of the vocabulary.
FIELD_SIZES: dict[str, int] = {
    "dst_octet_1": 256,
    "dst_octet_2": 256,
    "dst_octet_3": 256,
    "dst_octet_4": 256,
    "dst_port": 65_536,
    "protocol": 256,
    "src_port": 65_536,
    "ttl": 256,
    "tcp_flags": 256,
}
DEFAULT_FIELDS = ("dst_octet_1", "dst_octet_2", "dst_octet_3", "dst_octet_4", "dst_port", "protocol")
# Our choice: wider embeddings for fields with more values.
FIELD_EMBEDDING_SIZES: dict[str, int] = {
    "dst_octet_1": 8,
    "dst_octet_2": 8,
    "dst_octet_3": 8,
    "dst_octet_4": 8,
    "dst_port": 16,
    "protocol": 4,
    "src_port": 16,
    "ttl": 8,
    "tcp_flags": 8,
}

# Our choices, so that an untrusted configuration cannot request unlimited memory and time. They allow 4 GB of weights,
# more than 300 times those of the paper's model.
MOST_LAYERS = 1_000
MOST_PARAMETERS = 2**30


def field_offsets(fields: list[str] | tuple[str, ...]) -> dict[str, int]:
    """First id of each field, in a vocabulary of [PAD], [UNK] and then the fields in the order given."""
    offsets, next_id = {}, FIRST_FIELD_ID
    for name in fields:
        offsets[name] = next_id
        next_id += FIELD_SIZES[name]
    return offsets


_SIZES = (
    "time_embedding_size",
    "hidden_size",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "projection_size",
)


@strict
class TelescopeConfig(PreTrainedConfig):
    r"""Configuration of a `TelescopeModel`; the defaults are the model of arXiv 2606.04733.

    fields (`list[str]`, *optional*, defaults to destination octets, destination port and protocol):
        Fields of a token, in order; names of `FIELD_SIZES`. The tokenizer must have the same.
    field_embedding_sizes (`dict[str, int]`, *optional*, defaults to `FIELD_EMBEDDING_SIZES`):
        Width of each field's embedding; fields that are not named keep their default width.
    time_features (`list[str]`, *optional*, defaults to `["log_microseconds"]`):
        Functions of the inter-arrival time: `"log_microseconds"` is log1p of microseconds, `"log_seconds"` log1p of
        seconds.
    time_embedding_size (`int`, *optional*, defaults to 16):
        Width that the time features are projected to.
    record_features (`bool`, *optional*, defaults to `False`):
        Whether to add features that are computed from tokens and times: time scales, bytes of ports, and relations to
        the other records of the window.
    hidden_size (`int`, *optional*, defaults to 128):
        Width of a record's representation.
    num_hidden_layers (`int`, *optional*, defaults to 4):
        Number of encoder layers; 0 makes a bag of records, without attention and positions.
    num_attention_heads (`int`, *optional*, defaults to 4):
        Attention heads; must divide `hidden_size`. Attention is scaled by 1/sqrt(hidden_size / num_attention_heads).
    intermediate_size (`int`, *optional*, defaults to 256):
        Width of the feed-forward blocks.
    hidden_act (`str`, *optional*, defaults to `"relu"`):
        Activation of the feed-forward block and of the projection head.
    is_causal (`bool`, *optional*, defaults to `True`):
        Whether a record attends only to itself and to earlier records.
    hidden_dropout_prob, attention_probs_dropout_prob (`float`, *optional*, default to 0.1):
        Dropout of representations and of attention probabilities.
    max_position_embeddings (`int`, *optional*, defaults to 512):
        Longest sequence, in records.
    pooling (`str`, *optional*, defaults to `"mean"`):
        How the records of a window become one vector: `"mean"` of the real records, or `"moments"`, their mean,
        standard deviation and maximum, normalised together.
    projection_size (`int`, *optional*, defaults to 128):
        Width of the embedding.
    temperature (`float`, *optional*, defaults to 0.07):
        Temperature of NT-Xent.
    layer_norm_eps (`float`, *optional*, defaults to 1e-05):
        Epsilon of the layer normalisations.
    telescope_format_version (`int`, *optional*, defaults to 4):
        Format of the checkpoint; other formats are refused.
    """

    model_type = "telescope"
    keys_to_ignore_at_inference = ["last_hidden_state", "pooler_output"]  # noqa: RUF012

    fields: list[str] = field(default_factory=lambda: list(DEFAULT_FIELDS))
    field_embedding_sizes: dict[str, int] = field(default_factory=dict)
    time_features: list[str] = field(default_factory=lambda: ["log_microseconds"])
    time_embedding_size: int = 16
    record_features: bool = False
    hidden_size: int = 128
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    intermediate_size: int = 256
    hidden_act: str = "relu"
    is_causal: bool = True
    hidden_dropout_prob: float | int = 0.1
    attention_probs_dropout_prob: float | int = 0.1
    max_position_embeddings: int = 512
    pooling: Literal["mean", "moments"] = "mean"
    projection_size: int = 128
    temperature: float | int = 0.07
    layer_norm_eps: float | int = 1e-5
    pad_token_id: int | None = PAD_TOKEN_ID
    vocab_size: int | None = None
    telescope_format_version: int = FORMAT_VERSION

    def __post_init__(self, **kwargs: Any) -> None:
        self.field_embedding_sizes = {
            name: self.field_embedding_sizes.get(name, FIELD_EMBEDDING_SIZES.get(name, 0)) for name in self.fields
        }
        self.vocab_size = FIRST_FIELD_ID + sum(FIELD_SIZES.get(name, 0) for name in self.fields)
        super().__post_init__(**kwargs)

    @property
    def pooled_size(self) -> int:
        """Width of the pooled vector."""
        return self.hidden_size * (3 if self.pooling == "moments" else 1)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Create a configuration as transformers does, after checking the model type and the format.

        Raises:
            ValueError: if `model_type` is that of another model, or this code does not read the format.
        """
        if config_dict.get("model_type") != cls.model_type:
            raise ValueError(f"config.json is of a model of type {config_dict.get('model_type')!r}, not 'telescope'")
        version = config_dict.get("telescope_format_version", FORMAT_VERSION)
        if version != FORMAT_VERSION:
            newer = isinstance(version, int) and version > FORMAT_VERSION
            advice = "upgrade telescope-transformer" if newer else "train it again, or install an older version"
            raise ValueError(
                f"the checkpoint has format {version!r}, and this version of telescope-transformer reads format "
                f"{FORMAT_VERSION}: {advice}, or pin another `revision`"
            )
        # transformers would set options of `from_pretrained` after the checks.
        given = {name: kwargs.pop(name) for name in cls.__annotations__ if name in kwargs}
        return super().from_dict(config_dict | given, **kwargs)

    @classmethod
    def paper(cls, **overrides: Any) -> "TelescopeConfig":
        """The model of the paper, which has the default of every field. The shipped checkpoint has other values."""
        return cls(**overrides)

    def validate_architecture(self) -> None:
        """Check values that the type of a field does not restrict.

        Raises:
            ValueError: names the field and its value; `strict` raises it as a `StrictDataclassClassValidationError`.
        """
        unknown = [name for name in self.fields if name not in FIELD_SIZES]
        if unknown or len(set(self.fields)) != len(self.fields):
            raise ValueError(f"fields must be distinct names of {sorted(FIELD_SIZES)}, not {self.fields}")
        self._check_sizes()
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads {self.num_attention_heads}"
            )
        for name in ("temperature", "layer_norm_eps"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be a positive number, not {getattr(self, name)}")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and less than 1, not {getattr(self, name)}")

    def _check_sizes(self) -> None:
        """Check that sizes are positive and that the model fits into memory, before any part of it is built."""
        for name in _SIZES:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name, width in self.field_embedding_sizes.items():
            if width < 0:
                raise ValueError(f"the width of {name} in field_embedding_sizes must not be negative, but is {width}")
        if not 0 <= self.num_hidden_layers <= MOST_LAYERS:
            raise ValueError(f"num_hidden_layers must be 0 to {MOST_LAYERS}, not {self.num_hidden_layers}")
        # The large matrices of the model. Biases and normalisations are small in comparison.
        width, inner = self.hidden_size, self.intermediate_size
        entry = sum(self.field_embedding_sizes.values()) + self.time_embedding_size
        head = self.pooled_size * (self.pooled_size + self.projection_size)
        parameters = (
            sum(FIELD_SIZES[name] * self.field_embedding_sizes[name] for name in self.fields)
            + (entry + self.max_position_embeddings) * width
            + self.num_hidden_layers * (4 * width * width + 2 * width * inner)
            + head
        )
        if parameters > MOST_PARAMETERS:
            raise ValueError(
                f"the sizes make a model of {parameters:,} parameters; at most {MOST_PARAMETERS:,} are built"
            )


__all__ = ["DEFAULT_FIELDS", "FIELD_SIZES", "TelescopeConfig"]
