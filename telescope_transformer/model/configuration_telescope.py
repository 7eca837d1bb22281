"""Configuration of the telescope model, and the fields that a flow record is spelt with."""

from dataclasses import field
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

PAD_TOKEN_ID = 0
UNK_TOKEN_ID = 1
FIRST_FIELD_ID = 2

# Raised when a checkpoint of an older version could be read wrongly by this code, or a newer one by older code.
FORMAT_VERSION = 3

# Each field's values are 0 .. size - 1; its ids are one contiguous range of the vocabulary.
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
RECORD_FEATURES = ("time_scales", "port_scales", "relations")


def field_offsets(fields: list[str] | tuple[str, ...]) -> dict[str, int]:
    """First id of each field, in a vocabulary of [PAD], [UNK] and then the fields in the order given."""
    offsets, next_id = {}, FIRST_FIELD_ID
    for name in fields:
        offsets[name] = next_id
        next_id += FIELD_SIZES[name]
    return offsets


@strict
class TelescopeConfig(PreTrainedConfig):
    r"""Configuration of a `TelescopeModel`; the defaults are the model of arXiv 2606.04733.

    fields (`list[str]`, *optional*, defaults to destination octets, destination port and protocol):
        What a flow record is spelt with, in order; names of `FIELD_SIZES`. The tokenizer must spell the same.
    field_embedding_sizes (`dict[str, int]`, *optional*, defaults to `FIELD_EMBEDDING_SIZES`):
        Width of each field's embedding; fields that are not named keep their default width.
    time_features (`list[str]`, *optional*, defaults to `["log_microseconds"]`):
        Functions of the inter-arrival time: `"log_microseconds"` is log1p of microseconds, `"log_seconds"` log1p of
        seconds.
    time_embedding_size (`int`, *optional*, defaults to 16):
        Width that the time features are projected to.
    record_features (`list[str]`, *optional*, defaults to none):
        Names of `RECORD_FEATURES`, which are computed from the fields and times and join their embeddings:
        `"time_scales"`, `"port_scales"` and `"relations"` to the records around.
    record_layers (`int`, *optional*, defaults to 0):
        Layers of width `hidden_size` that each record passes by itself, before it meets the others.
    embedding_std (`float`, *optional*, defaults to 1.0):
        Standard deviation of the fields' embeddings at the start.
    hidden_size (`int`, *optional*, defaults to 128):
        Width of a record's representation.
    num_hidden_layers (`int`, *optional*, defaults to 4):
        Encoder layers; 0 is a bag of records: no attention and no positions.
    num_towers (`int`, *optional*, defaults to 1):
        Encoders side by side that share the record's features. Each has its share of `hidden_size`,
        `intermediate_size`, `projection_hidden_size` and `projection_size` and a loss of its own; their embeddings
        stand side by side.
    num_bag_towers (`int`, *optional*, defaults to 0):
        How many of the towers, the first ones, are bags of records: the encoder layers and positions are the others'.
    num_attention_heads (`int`, *optional*, defaults to 4):
        Heads of each tower; must divide its width. Attention is scaled by 1/sqrt(width / num_attention_heads).
    intermediate_size (`int`, *optional*, defaults to 256):
        Width of the feed-forward blocks of the towers that have them, together.
    hidden_act (`str`, *optional*, defaults to `"relu"`):
        Activation of the feed-forward block and of the projection head.
    is_causal (`bool`, *optional*, defaults to `True`):
        Whether a record attends only to itself and to earlier records.
    hidden_dropout_prob, attention_probs_dropout_prob (`float`, *optional*, default to 0.1):
        Dropout of representations and of attention probabilities.
    max_position_embeddings (`int`, *optional*, defaults to 512):
        Longest sequence, in records.
    pooling (`str`, *optional*, defaults to `"mean"`):
        How the records of a window become one vector; `"mean"` is over real records, `"moments"` is their mean,
        standard deviation and maximum, normalised together.
    pooled_dropout_prob (`float`, *optional*, defaults to 0.0):
        Dropout of the pooled vector, with `"moments"`.
    projection_hidden_size (`int`, *optional*, defaults to `hidden_size`):
        Width between the two layers of the projection head.
    projection_size (`int`, *optional*, defaults to 128):
        Width of what the projection head learns: the embedding, or its first part.
    discriminant_size (`int`, *optional*, defaults to 0):
        Width of the embedding's second part: directions of the pooled vector that are fitted after training.
    discriminant_weight (`float`, *optional*, defaults to 0.5):
        Length of the second part, where that of the first is 1.
    discriminant_centres (`int`, *optional*, defaults to 0):
        How many centres the directions are also seen from, as a third part of the embedding: points where training
        windows gather. At 0 there is no such part.
    centred_weight (`float`, *optional*, defaults to 0.4):
        Length of the third part, where that of the first is 1.
    time_of_day_weight (`float`, *optional*, defaults to 0.0):
        Length of the embedding's last part, where that of the first is 1 and all records are of one moment: the
        time of day, as two numbers. At 0 there is none. It takes no part in training.
    piece_records (`int`, *optional*, defaults to 0):
        A window of at least twice as many records is embedded as the mean of consecutive pieces of at least so many
        records each, all of like length: what was trained on short windows then knows long ones. At 0 every window is
        embedded whole.
    temperature (`float`, *optional*, defaults to 0.07):
        Temperature of NT-Xent.
    learn_temperature (`bool`, *optional*, defaults to `False`):
        Whether the temperature is learned, from `temperature` on.
    layer_norm_eps (`float`, *optional*, defaults to 1e-05):
        Epsilon of the layer normalisations.
    telescope_format_version (`int`, *optional*, defaults to 3):
        Format of the checkpoint; one that is newer than the code is refused.
    """

    model_type = "telescope"
    keys_to_ignore_at_inference = ["last_hidden_state", "pooler_output"]  # noqa: RUF012

    fields: list[str] = field(default_factory=lambda: list(DEFAULT_FIELDS))
    field_embedding_sizes: dict[str, int] = field(default_factory=dict)
    time_features: list[str] = field(default_factory=lambda: ["log_microseconds"])
    time_embedding_size: int = 16
    record_features: list[str] = field(default_factory=list)
    record_layers: int = 0
    embedding_std: float | int = 1.0
    hidden_size: int = 128
    num_hidden_layers: int = 4
    num_towers: int = 1
    num_bag_towers: int = 0
    num_attention_heads: int = 4
    intermediate_size: int = 256
    hidden_act: str = "relu"
    is_causal: bool = True
    hidden_dropout_prob: float | int = 0.1
    attention_probs_dropout_prob: float | int = 0.1
    max_position_embeddings: int = 512
    pooling: Literal["mean", "moments"] = "mean"
    pooled_dropout_prob: float | int = 0.0
    projection_hidden_size: int | None = None
    projection_size: int = 128
    discriminant_size: int = 0
    discriminant_weight: float | int = 0.5
    discriminant_centres: int = 0
    centred_weight: float | int = 0.4
    time_of_day_weight: float | int = 0.0
    piece_records: int = 0
    temperature: float | int = 0.07
    learn_temperature: bool = False
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
    def tower_size(self) -> int:
        """Width of a record's representation in each tower."""
        return self.hidden_size // self.num_towers

    @property
    def pooled_size(self) -> int:
        """Width of the pooled vector."""
        return self.hidden_size * (3 if self.pooling == "moments" else 1)

    @property
    def embedding_size(self) -> int:
        """Width of the embedding."""
        fitted = self.discriminant_size * (2 if self.discriminant_centres else 1)
        return self.projection_size + fitted + (2 if self.time_of_day_weight else 0)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As transformers', after a check of what the configuration says it is.

        Raises:
            ValueError: where `model_type` is another model's, or the format is newer than this code.
        """
        if config_dict.get("model_type") != cls.model_type:
            raise ValueError(f"config.json is of a model of type {config_dict.get('model_type')!r}, not 'telescope'")
        version = config_dict.get("telescope_format_version", FORMAT_VERSION)
        if not isinstance(version, int) or version > FORMAT_VERSION:
            raise ValueError(
                f"the checkpoint has format {version!r}, from a newer version of telescope-transformer; this one "
                f"reads format {FORMAT_VERSION} and older: upgrade it, or pin an older `revision`"
            )
        return super().from_dict(config_dict, **kwargs)

    @classmethod
    def paper(cls, **overrides: Any) -> "TelescopeConfig":
        """The paper's model: the defaults of every field, whatever later versions ship as their own choice."""
        return cls(**overrides)

    def validate_architecture(self) -> None:
        """Check what no single field's type can tell.

        Raises:
            ValueError: naming the field and its value; `strict` reports it as a `StrictDataclassClassValidationError`.
        """
        unknown = [name for name in self.fields if name not in FIELD_SIZES]
        if unknown or len(set(self.fields)) != len(self.fields):
            raise ValueError(f"fields must be distinct names of {sorted(FIELD_SIZES)}, not {self.fields}")
        if not set(self.record_features) <= set(RECORD_FEATURES):
            raise ValueError(f"record_features must be names of {list(RECORD_FEATURES)}, not {self.record_features}")
        widths = (self.hidden_size, self.projection_hidden_size or self.hidden_size, self.projection_size)
        if self.num_towers < 1 or any(width % self.num_towers for width in widths):
            raise ValueError(f"num_towers {self.num_towers} does not divide the widths {widths}")
        if self.tower_size % self.num_attention_heads:
            raise ValueError(
                f"a tower's width of {self.tower_size}, its share of hidden_size, is not a multiple of "
                f"num_attention_heads {self.num_attention_heads}"
            )
        if not 0 <= self.num_bag_towers < self.num_towers:
            raise ValueError(
                f"num_bag_towers must be from 0 to {self.num_towers - 1}, fewer than num_towers, not "
                f"{self.num_bag_towers}; where no tower has layers, num_hidden_layers is 0"
            )
        if self.intermediate_size % (self.num_towers - self.num_bag_towers):
            raise ValueError(
                f"intermediate_size {self.intermediate_size} does not divide among "
                f"{self.num_towers - self.num_bag_towers} towers"
            )
        if self.discriminant_size > self.pooled_size:
            raise ValueError(f"discriminant_size {self.discriminant_size} exceeds the pooled {self.pooled_size}")
        if self.discriminant_centres > 0 and not self.discriminant_size:
            raise ValueError(f"discriminant_centres {self.discriminant_centres} need a discriminant_size")
        for name in ("discriminant_centres", "time_of_day_weight", "piece_records"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, and is {getattr(self, name)}")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be positive, not {self.temperature}")


__all__ = ["DEFAULT_FIELDS", "FIELD_SIZES", "TelescopeConfig"]
