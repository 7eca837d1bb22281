"""The tokenizer: equal ids on every path, decoding, and padding."""

from datetime import UTC, datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DataCollatorWithPadding

from telescope_transformer.model import FIELD_SIZES, FlowTokenizer
from telescope_transformer.model.flow_fields import PROTOCOL_NUMBERS, fold_address
from telescope_transformer.records.addresses import fold_address as fold_column
from telescope_transformer.records.protocols import protocol_number
from telescope_transformer.windows import cut_windows

ALL_FIELDS = tuple(FIELD_SIZES)
TOKENIZERS = {"default": FlowTokenizer(), "all fields": FlowTokenizer(ALL_FIELDS)}

addresses = st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str))
plain_records = st.fixed_dictionaries(
    {
        "dst_ip": addresses,
        "dst_port": st.integers(0, 65_535),
        "protocol": st.integers(0, 255),
        "src_port": st.integers(0, 65_535),
        "ttl": st.none() | st.integers(0, 255),
        "tcp_flags": st.none() | st.integers(0, 255),
    }
)
gaps = st.integers(0, 10**12)


@st.composite
def sequences(draw: st.DrawFn, min_size: int = 1) -> list[dict[str, Any]]:
    records = draw(st.lists(plain_records, min_size=min_size, max_size=12))
    times = np.cumsum(draw(st.lists(gaps, min_size=len(records), max_size=len(records))))
    return [record | {"timestamp": int(time)} for record, time in zip(records, times, strict=True)]


def as_table(records: list[dict[str, Any]]) -> pa.Table:
    kinds = {"timestamp": pa.int64(), "dst_port": pa.uint16(), "src_port": pa.uint16(), "dst_ip": pa.string()}
    return pa.table(
        {name: pa.array([r[name] for r in records], kinds.get(name, pa.uint8())) for name in sorted(records[0])}
    )


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
@settings(max_examples=60, deadline=None)
@given(records=sequences())
def test_a_table_has_the_ids_of_its_records(tokenizer: FlowTokenizer, records: list[dict[str, Any]]) -> None:
    by_word, by_column = tokenizer(records), tokenizer(as_table(records))
    for name in tokenizer.model_input_names:
        np.testing.assert_array_equal(by_word[name], by_column[name], strict=True)
    # The ids of words come from the library's pipeline from text to ids.
    text_ids = tokenizer(tokenizer.spell(records), add_special_tokens=False)["input_ids"]
    assert text_ids == by_column["input_ids"].ravel().tolist()


@settings(max_examples=25, deadline=None)
@given(batch=st.lists(sequences(), min_size=1, max_size=4))
def test_windows_have_the_ids_of_their_records(batch: list[list[dict[str, Any]]]) -> None:
    tokenizer = TOKENIZERS["all fields"]
    table = pa.concat_tables(
        as_table([record | {"src_port": row} for record in records]) for row, records in enumerate(batch)
    )
    sources = [f"192.0.2.{row}" for row, records in enumerate(batch) for _ in records]
    windows = cut_windows(table.append_column("src_ip", pa.array(sources)), min_records=1)
    encoded = tokenizer.encode_windows(windows)
    lists = [name for name in windows.column_names if pa.types.is_list(windows.schema.field(name).type)]
    rows = windows.select(lists).to_pylist()
    expected = [
        tokenizer([dict(zip(row, record, strict=True)) for record in zip(*row.values(), strict=True)]) for row in rows
    ]
    np.testing.assert_array_equal(encoded["input_ids"], np.concatenate([e["input_ids"] for e in expected]))
    np.testing.assert_array_equal(encoded["inter_arrival"], np.concatenate([e["inter_arrival"] for e in expected]))
    assert sorted(np.diff(encoded["offsets"])) == sorted(len(records) for records in batch)


@settings(max_examples=60, deadline=None)
@given(records=sequences())
def test_decode_gives_the_records_back(records: list[dict[str, Any]]) -> None:
    tokenizer = TOKENIZERS["all fields"]
    encoded = tokenizer(records)
    decoded = tokenizer.decode(encoded["input_ids"], encoded["inter_arrival"])
    again = tokenizer(decoded)
    for name in ("input_ids", "inter_arrival", "attention_mask"):
        np.testing.assert_array_equal(again[name], encoded[name])
    for record, back in zip(records, decoded, strict=True):
        if ":" not in record["dst_ip"]:
            assert back["dst_ip"] == record["dst_ip"]
        for name in ("dst_port", "protocol", "src_port", "ttl", "tcp_flags"):
            assert back[name] == record[name]


@settings(max_examples=200, deadline=None)
@given(text=addresses)
def test_destinations_fold_as_those_of_the_records(text: str) -> None:
    assert fold_address(text) == int(fold_column(pa.array([text]))[0])


def test_ipv6_prefixes_share_octets() -> None:
    folds = [fold_address(text) for text in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "2001:db8:1::1")]
    octets = [divmod(fold or 0, 256)[0] for fold in folds]
    assert folds[0] != folds[1]
    assert octets[0] == octets[1]
    assert octets[0] >> 8 == octets[2] >> 8
    assert octets[0] >> 16 == octets[3] >> 16
    assert all((fold or 0) >> 28 == 0xF for fold in folds)
    assert fold_address("::ffff:192.0.2.1") == fold_address("192.0.2.1") == fold_address(0xC0000201)


def test_missing_and_out_of_range_values_are_unknown() -> None:
    tokenizer = TOKENIZERS["all fields"]
    records = [
        {"timestamp": 0, "dst_ip": "no address", "dst_port": 65_536, "protocol": -1},
        {"timestamp": 1, "dst_ip": None, "dst_port": None, "protocol": None, "src_port": 1},
    ]
    table = pa.table(
        {
            "timestamp": [0, 1],
            "dst_ip": ["no address", None],
            "dst_port": [65_536, None],
            "protocol": [-1, None],
            "src_port": [None, 1],
        }
    )
    assert (tokenizer(records)["input_ids"] == tokenizer(table)["input_ids"]).all()
    assert set(tokenizer(records)["input_ids"][0].tolist()) == {tokenizer.unk_token_id}
    assert tokenizer.decode(tokenizer(records)["input_ids"])[1] == {
        "dst_ip": None,
        "dst_port": None,
        "protocol": None,
        "src_port": 1,
        "ttl": None,
        "tcp_flags": None,
    }


def test_batches_pad_and_truncate() -> None:
    tokenizer = TOKENIZERS["default"]
    record = {"dst_ip": "192.0.2.1", "dst_port": 22, "protocol": 6}
    long, short = [record | {"timestamp": 2_000_000 * i} for i in range(5)], [record | {"timestamp": 7}]
    batch = tokenizer([long, short], padding=True, return_tensors="pt")
    assert batch["input_ids"].shape == (2, 5, 6)
    assert batch["attention_mask"].tolist() == [[1] * 5, [1, 0, 0, 0, 0]]
    assert batch["inter_arrival"].tolist() == [[0, 2, 2, 2, 2], [0, 0, 0, 0, 0]]
    assert (batch["input_ids"][1, 1:] == tokenizer.pad_token_id).all()
    assert len(tokenizer.decode(batch["input_ids"])[1]) == 1
    assert tokenizer([long, short], truncation=True, max_length=2, padding=True)["input_ids"].shape == (2, 2, 6)
    assert tokenizer(long, padding="max_length", max_length=8)["input_ids"].shape == (1, 8, 6)
    assert tokenizer.pad([tokenizer(long), tokenizer(short)], pad_to_multiple_of=4)["input_ids"].shape == (2, 8, 6)
    with pytest.raises(ValueError, match="do not stack"):
        tokenizer([long, short], return_tensors="pt")


def test_columns_are_accepted_as_a_sequence() -> None:
    tokenizer = TOKENIZERS["default"]
    columns = {"dst_ip": ["192.0.2.1", "192.0.2.2"], "dst_port": [1, 2], "protocol": [6, 6], "timestamp": [0, 5]}
    records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    np.testing.assert_array_equal(tokenizer(columns)["input_ids"], tokenizer(records)["input_ids"])
    assert len(tokenizer([columns, columns])["input_ids"]) == 2
    with pytest.raises(ValueError, match="one length"):
        tokenizer({"dst_ip": ["192.0.2.1"], "timestamp": [0, 1]})


@pytest.mark.parametrize(
    "text", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_text_of_every_arrow_type_is_read(text: pa.DataType) -> None:
    tokenizer = FlowTokenizer()
    rows = [{"timestamp": i, "dst_ip": f"192.0.2.{i}", "dst_port": 23, "protocol": "tcp"} for i in range(3)]
    table = pa.Table.from_pylist(rows)
    for name in ("dst_ip", "protocol"):
        table = table.set_column(table.column_names.index(name), name, table[name].cast(text))
    np.testing.assert_array_equal(tokenizer(table)["input_ids"], tokenizer(rows)["input_ids"])


def test_a_data_frame_is_a_sequence() -> None:
    pandas = pytest.importorskip("pandas")
    tokenizer = FlowTokenizer()
    rows = [{"timestamp": i, "dst_ip": f"192.0.2.{i}", "dst_port": 23, "protocol": 6} for i in range(3)]
    expected = tokenizer([rows, rows[:2]], padding=True)
    found = tokenizer([pandas.DataFrame(rows), pandas.DataFrame(rows[:2])], padding=True)
    for name in tokenizer.model_input_names:
        np.testing.assert_array_equal(found[name], expected[name])
    assert tokenizer(pandas.DataFrame(rows))["input_ids"].shape == (3, len(tokenizer.fields))


@pytest.mark.parametrize("wrong", [None, float("nan"), float("inf"), -1.0])
def test_an_impossible_inter_arrival_time_is_refused(wrong: float | None) -> None:
    assert_second_record_is_refused("inter_arrival", (0.0, wrong), "record 1 has the inter_arrival")


def test_a_record_without_a_time_is_refused() -> None:
    assert_second_record_is_refused("timestamp", (0, None), "record 1 has n")


def assert_second_record_is_refused(field: str, values: tuple[float | None, ...], message: str) -> None:
    tokenizer = FlowTokenizer()
    rows = [{field: value, "dst_ip": "192.0.2.1", "dst_port": 23, "protocol": 6} for value in values]
    for records in (rows, pa.Table.from_pylist(rows)):
        with pytest.raises(ValueError, match=message):
            tokenizer(records)


def test_times_of_every_kind() -> None:
    tokenizer = TOKENIZERS["default"]
    plain = datetime(2026, 1, 1, tzinfo=UTC)
    elsewhere = (plain + timedelta(seconds=1.5)).astimezone(timezone(timedelta(hours=5)))
    records = [{"timestamp": plain}, {"timestamp": elsewhere}]
    assert tokenizer(records)["inter_arrival"].tolist() == [0, 1.5]
    stamps = pa.table({"timestamp": pa.array([plain, elsewhere], pa.timestamp("ms", "UTC"))})
    assert tokenizer(stamps)["inter_arrival"].tolist() == [0, 1.5]
    with pytest.raises(ValueError, match=r"record 1 of sequence 0 is 5 us earlier"):
        tokenizer([{"timestamp": 5}, {"timestamp": 0}])
    for missing in ({"protocol": 6}, {"timestamp": pd.NaT}, {"timestamp": float("nan")}):
        with pytest.raises(ValueError, match="record 1 has neither"):
            tokenizer([{"timestamp": 5}, missing])
    with pytest.raises(ValueError, match="whole microseconds or a datetime, not '2026-01-01'"):
        tokenizer([{"timestamp": "2026-01-01"}])
    # `time.time()` is seconds, not microseconds.
    seconds = [{"timestamp": 1_767_225_600.25}, {"timestamp": 1_767_225_602.5}]
    for wrong in (seconds, pa.Table.from_pylist(seconds)):
        with pytest.raises(ValueError, match="must be whole microseconds"):
            tokenizer(wrong)
    nanoseconds = pa.table({"timestamp": pa.array([1_001, 2_000_001_999], pa.timestamp("ns"))})
    assert tokenizer(nanoseconds)["inter_arrival"].tolist() == [0, 2]


def test_a_generator_loses_no_sequence() -> None:
    tokenizer = TOKENIZERS["default"]
    sequences = [[{"timestamp": 0, "dst_ip": "192.0.2.1", "dst_port": port, "protocol": 6}] for port in (22, 23, 80)]
    ids = tokenizer(sequence for sequence in sequences)["input_ids"]
    assert [tokenizer.decode(each)[0]["dst_port"] for each in ids] == [22, 23, 80]
    one_sequence = tokenizer(record for sequence in sequences for record in sequence)["input_ids"]
    assert one_sequence.shape == (3, 6)


WINDOWS = [
    {
        "source": "192.0.2.9",
        "n_records": ports,
        "timestamp": [1_000_000 * place for place in range(ports)],
        "dst_ip": ["198.51.100.1"] * ports,
        "dst_port": list(range(22, 22 + ports)),
        "protocol": [6] * ports,
    }
    for ports in (3, 1)
]


class Indexed:
    """Has a length and items, but no iterator, as the datasets of PyTorch."""

    def __len__(self) -> int:
        return len(WINDOWS)

    def __getitem__(self, place: int) -> dict[str, Any]:
        return WINDOWS[place]


def objects() -> np.ndarray:
    array = np.empty(len(WINDOWS), dtype=object)
    array[:] = WINDOWS
    return array


@pytest.mark.parametrize(
    "windows",
    [
        WINDOWS,
        Indexed(),
        objects(),
        pd.Series(WINDOWS),
        {name: [window[name] for window in WINDOWS] for name in WINDOWS[0]},
        pa.Table.from_pylist(WINDOWS),
        datasets.Dataset.from_list(WINDOWS),
        datasets.Dataset.from_list(WINDOWS).with_format("torch"),
        datasets.Dataset.from_list(WINDOWS).to_iterable_dataset(),
    ],
    ids=["list", "indexed", "array", "series", "columns", "arrow", "dataset", "tensors", "stream"],
)
def test_rows_of_a_prepared_dataset_are_sequences(windows: Any) -> None:
    tokenizer = TOKENIZERS["default"]
    encoded = tokenizer(windows)
    assert [len(ids) for ids in encoded["input_ids"]] == [3, 1]
    alone = tokenizer(WINDOWS[0])
    np.testing.assert_array_equal(encoded["input_ids"][0], alone["input_ids"])
    np.testing.assert_array_equal(encoded["inter_arrival"][0], alone["inter_arrival"])
    assert tokenizer.decode(alone["input_ids"])[2] == {"dst_ip": "198.51.100.1", "dst_port": 24, "protocol": 6}


def test_a_dataset_of_records_is_one_sequence() -> None:
    records = [{"timestamp": 0, "dst_ip": "192.0.2.1", "dst_port": port, "protocol": 6} for port in (22, 23)]
    assert TOKENIZERS["default"](datasets.Dataset.from_list(records))["input_ids"].shape == (2, 6)


def test_labels_are_stacked_beside_the_inputs() -> None:
    encoded = [dict(TOKENIZERS["default"](window)) | {"label": 7, "source": "192.0.2.9"} for window in WINDOWS]
    batch = DataCollatorWithPadding(TOKENIZERS["default"])(encoded)
    assert batch["labels"].tolist() == [7, 7]
    assert batch["input_ids"].shape == (2, 3, 6)
    assert set(batch) == {*TOKENIZERS["default"].model_input_names, "labels"}


@pytest.mark.parametrize(
    "address", [ip_address("192.0.2.1"), 0xC0000201, float(0xC0000201), np.uint32(0xC0000201), "3221225985"]
)
def test_an_address_has_every_common_form(address: Any) -> None:
    ids = TOKENIZERS["default"]([{"timestamp": 0, "dst_ip": address}])["input_ids"]
    assert TOKENIZERS["default"].decode(ids)[0]["dst_ip"] == "192.0.2.1"


def test_what_is_no_form_of_an_address_is_refused() -> None:
    assert fold_address(float("nan")) is None
    assert fold_address(ip_address("2001:db8::1")) == fold_address("2001:db8::1")
    with pytest.raises(TypeError, match="dst_ip must be text, a number or an address of ipaddress, not b'"):
        fold_address(b"\xc0\x00\x02\x01")


def test_an_empty_batch_has_every_input() -> None:
    tokenizer = TOKENIZERS["default"]
    batch = tokenizer([], return_tensors="pt")
    assert batch["input_ids"].shape == (0, 0, 6)
    assert set(batch) == set(tokenizer.model_input_names)
    empty = np.zeros(0, dtype=np.int64)
    encoded = tokenizer([{"timestamp": 0, "dst_ip": "192.0.2.1", "dst_port": 1, "protocol": 6}])
    assert tokenizer.collate(encoded, empty, empty)["input_ids"].shape == (0, 0, 6)


def test_padding_on_the_left() -> None:
    record = {"dst_ip": "192.0.2.1", "dst_port": 22, "protocol": 6}
    long, short = [record | {"timestamp": 2_000_000 * i} for i in range(3)], [record | {"timestamp": 7}]
    right = TOKENIZERS["default"]([long, short], padding=True)
    by_call = TOKENIZERS["default"]([long, short], padding=True, padding_side="left")
    by_default = FlowTokenizer(padding_side="left")([long, short], padding=True)
    for left in (by_call, by_default):
        assert left["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]
        assert (left["input_ids"][0] == right["input_ids"][0]).all()
        assert (left["input_ids"][1] == right["input_ids"][1][[1, 2, 0]]).all()
        assert left["inter_arrival"].tolist() == [[0, 2, 2], [0, 0, 0]]


@pytest.mark.parametrize("value", ["tcp", " TCP ", "6", 6])
def test_a_protocol_has_a_number_or_a_name(value: str | int) -> None:
    tokenizer = TOKENIZERS["default"]
    expected = tokenizer([{"timestamp": 0, "dst_ip": "192.0.2.1", "dst_port": 1, "protocol": 6}])["input_ids"]
    record = {"timestamp": 0, "dst_ip": "192.0.2.1", "dst_port": 1, "protocol": value}
    for form in ([record], pa.Table.from_pylist([record])):
        np.testing.assert_array_equal(tokenizer(form)["input_ids"], expected)
    with pytest.raises(ValueError, match=r"protocol must be a number, or one of icmp, .*, not 'tpc'"):
        tokenizer([record | {"protocol": "tpc"}])


def test_names_of_protocols_are_those_of_the_readers() -> None:
    assert all(protocol_number(name) == number for name, number in PROTOCOL_NUMBERS.items())


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("dst_prot", "dst_port"),
        ("dst", "dst_ip"),
        ("proto", "protocol"),
        ("dst_adress", "dst_ip"),
        ("destination", "dst_ip"),
    ],
)
def test_a_misspelt_field_is_named(misspelt: str, meant: str) -> None:
    record = {"timestamp": 0, "dst_ip": "192.0.2.1", "dst_port": 1, "protocol": 6, "label": "x", "src_ip": "192.0.2.2"}
    record[misspelt] = record.pop(meant)
    for form in ([record], pa.Table.from_pylist([record]), {name: [value] for name, value in record.items()}):
        with pytest.raises(ValueError, match=f"a field '{misspelt}' and none called '{meant}'"):
            TOKENIZERS["default"](form)


def test_stretches_collate_to_padded_tensors() -> None:
    tokenizer = TOKENIZERS["default"]
    records = [{"timestamp": 1_000_000 * i, "dst_ip": "192.0.2.1", "dst_port": i, "protocol": 6} for i in range(10)]
    encoded = tokenizer(records)
    rows = np.array([2, 7]), np.array([4, 2])
    batch = tokenizer.collate(encoded, *rows)
    expected = tokenizer([records[2:6], records[7:9]], padding=True, return_tensors="pt")
    for name in tokenizer.model_input_names:
        assert (batch[name] == expected[name]).all()
        assert batch[name].dtype == expected[name].dtype
    alike = tokenizer.collate(encoded, rows[0], np.array([3, 3]))
    assert set(alike) == {"input_ids", "inter_arrival"}, "without padding there is no mask"


def test_save_and_load(tmp_path: Path) -> None:
    tokenizer = TOKENIZERS["all fields"]
    tokenizer.save_pretrained(tmp_path)
    loaded = FlowTokenizer.from_pretrained(tmp_path)
    assert loaded.fields == list(ALL_FIELDS)
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert (loaded.pad_token, loaded.unk_token, loaded.model_max_length) == ("[PAD]", "[UNK]", 512)


def test_a_missing_tokenizer_is_no_default_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=rf"{tmp_path}: no tokenizer\.json"):
        FlowTokenizer.from_pretrained(tmp_path)


def test_unknown_options_are_named() -> None:
    with pytest.raises(TypeError, match="no option 'feilds'"):
        FlowTokenizer(feilds=["dst_port"])
    record = {"timestamp": 0, "dst_ip": "192.0.2.1", "dst_port": 443, "protocol": 6}
    with pytest.raises(TypeError, match="no option 'paddding' for records"):
        TOKENIZERS["default"]([record], paddding=True)
    assert TOKENIZERS["default"]([record], padding_side="left", verbose=False)


def test_a_vocabulary_with_gaps_is_refused() -> None:
    vocabulary = TOKENIZERS["default"].get_vocab()
    del vocabulary["dst_port:80"]
    with pytest.raises(ValueError, match="contiguous"):
        FlowTokenizer(vocab=vocabulary)
    with pytest.raises(ValueError, match="colour"):
        FlowTokenizer(["colour"])


def test_a_record_is_no_dictionary_of_columns() -> None:
    with pytest.raises(TypeError, match="timestamp is one value, 0, not a column of values"):
        TOKENIZERS["default"]({"timestamp": 0, "dst_ip": "192.0.2.1"})
    with pytest.raises(TypeError, match="dst_port is one value, 22, not a column of values"):
        TOKENIZERS["default"]({"timestamp": [0], "dst_ip": ["192.0.2.1"], "dst_port": 22, "protocol": [6]})


@pytest.mark.parametrize("nothing", [None, 3, [None], [[1, 2]], np.zeros(3)])
def test_what_is_no_sequence_of_records_is_refused(nothing: object) -> None:
    with pytest.raises(TypeError, match=r"must be a (sequence of records|dictionary from field to value)"):
        TOKENIZERS["default"](nothing)


def test_options_without_a_meaning_are_refused() -> None:
    records = [{"timestamp": 0, "dst_ip": "192.0.2.1", "dst_port": 23, "protocol": 6}]
    with pytest.raises(ValueError, match="padding must be True, False, 'longest' or 'max_length', not 'long'"):
        TOKENIZERS["default"](records, padding="long")
    with pytest.raises(ValueError, match="max_length must be at least 1 record, not -1"):
        TOKENIZERS["default"](records, truncation=True, max_length=-1)
    with pytest.raises(ValueError, match="max_length must be at least 1 record, not '5'"):
        TOKENIZERS["default"](records, truncation=True, max_length="5")
    with pytest.raises(ValueError, match="truncation must be True, False, 'longest_first' or 'only_first', not 'all'"):
        TOKENIZERS["default"](records, truncation="all")
    with pytest.raises(ValueError, match="padding_side must be 'left' or 'right', not 'up'"):
        TOKENIZERS["default"](records, padding=True, padding_side="up")
    with pytest.raises(ValueError, match="pad_to_multiple_of must be at least 1 record, not -8"):
        TOKENIZERS["default"](records, padding=True, pad_to_multiple_of=-8)
    kept = TOKENIZERS["default"](records * 2, truncation="do_not_truncate", max_length=1)
    assert len(kept["input_ids"]) == 2


GOOD = {"timestamp": 0, "dst_ip": "192.0.2.1", "dst_port": 23, "protocol": 6}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dst_port": {}}, r"dst_port must be a number, not \{\}"),
        ({"dst_port": 1j}, "dst_port must be a number, not 1j"),
        ({"protocol": object}, "protocol must be a number, or one of icmp, .*, not <class 'object'>"),
        ({"dst_port": [23]}, "timestamp is one value, 0, not a column of values as dst_port is"),
        ({"timestamp": 10**30}, f"microseconds since 1970, and {10**30} is too large"),
        ({"inter_arrival": "soon"}, "inter_arrival must be a number of seconds since the previous record: .*'soon'"),
        ({"inter_arrival": timedelta(seconds=1)}, "inter_arrival must be a number of seconds since the previous"),
        ({"inter_arrival": 1e300}, "record 0 has the inter_arrival inf"),
    ],
)
def test_a_value_of_a_wrong_type_is_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        TOKENIZERS["default"]([GOOD | wrong])


@pytest.mark.parametrize("missing", [None, float("nan"), float("inf"), pd.NA, np.float32("nan")])
def test_missing_numbers_are_unknown(missing: Any) -> None:
    decoded = TOKENIZERS["default"].decode(TOKENIZERS["default"]([GOOD | {"dst_port": missing}])["input_ids"])
    assert decoded[0] == {"dst_ip": "192.0.2.1", "dst_port": None, "protocol": 6}


@pytest.mark.parametrize(
    "column", [pa.nulls(2), pa.array([None, None], pa.uint16()), pa.array([float("nan"), float("inf")])]
)
@pytest.mark.filterwarnings("error")
def test_columns_without_a_known_value_are_unknown(column: pa.Array) -> None:
    table = pa.table({"timestamp": [0, 1], "dst_ip": column, "dst_port": column, "protocol": [6, 6]})
    decoded = TOKENIZERS["default"].decode(TOKENIZERS["default"](table)["input_ids"])
    assert decoded == [{"dst_ip": None, "dst_port": None, "protocol": 6}] * 2


def test_columns_that_hold_no_numbers_are_refused() -> None:
    columns = {name: [value] for name, value in GOOD.items()}
    with pytest.raises(TypeError, match="dst_ip must be a column of numbers or text, not of binary"):
        TOKENIZERS["default"](pa.table(columns | {"dst_ip": [b"192.0.2.1"]}))
    with pytest.raises(ValueError, match="inter_arrival must be a number of seconds"):
        TOKENIZERS["default"](pa.table(columns | {"inter_arrival": [timedelta(seconds=1)]}))
    with pytest.raises(ValueError, match="the table has two columns 'dst_port'"):
        TOKENIZERS["default"](pa.table([pa.array([1])] * 3, names=["timestamp", "dst_port", "dst_port"]))


def test_a_record_may_have_a_list_under_another_name() -> None:
    records = [GOOD | {"tags": ["scanner"]}] * 2
    for form in (records, pa.Table.from_pylist(records)):
        assert TOKENIZERS["default"](form)["input_ids"].shape == (2, 6)


@pytest.mark.parametrize("form", ["numpy", "torch"])
def test_rows_of_one_length_may_be_arrays_and_tensors(form: str) -> None:
    """`datasets` stacks such rows, whose addresses are numbers, to arrays with two axes."""
    rows = [{"timestamp": [0, 1], "dst_ip": [place, 7], "dst_port": [1, 2], "protocol": [6, 6]} for place in (5, 6)]
    dataset = datasets.Dataset.from_list(rows).with_format(form)
    expected = TOKENIZERS["default"](rows)["input_ids"]
    for windows in (dataset[:], dataset, [dataset[0], dataset[1]]):
        np.testing.assert_array_equal(TOKENIZERS["default"](windows)["input_ids"], expected)


def test_encodings_and_ids_of_other_shapes_are_refused() -> None:
    tokenizer = TOKENIZERS["default"]
    ids, seconds = np.full((2, 6), 2), np.zeros(2)
    with pytest.raises(ValueError, match="encoding 1 has no inter_arrival"):
        tokenizer.pad([{"input_ids": ids, "inter_arrival": seconds}, {"input_ids": ids}])
    with pytest.raises(ValueError, match=r"encoding 0 has input_ids of shape \(2, 5\) .* has \(n, 6\) and \(n,\)"):
        tokenizer.pad([{"input_ids": ids[:, :5], "inter_arrival": seconds}])
    with pytest.raises(TypeError, match="encoding 0 must be a dictionary of inputs, not int"):
        tokenizer.pad([3])
    assert tokenizer.pad([{"input_ids": [], "inter_arrival": []}])["input_ids"].shape == (1, 0, 6)
    with pytest.raises(ValueError, match=r"must be \(records, 6\), not \(2, 5\)"):
        tokenizer.decode(ids[:, :5])
    with pytest.raises(ValueError, match="id 999999 is not a value of dst_octet_1"):
        tokenizer.decode(np.full((1, 6), 999_999))
