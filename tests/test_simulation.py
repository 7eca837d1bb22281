"""The synthetic telescope: walks in the orders of real scanners, fingerprints, determinism, ground truth."""

from math import gcd

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telescope_transformer.errors import InputError
from telescope_transformer.simulation import SimulationSettings, simulate, write_simulation
from telescope_transformer.simulation.orders import (
    ZMAP_ORDER,
    ZMAP_PRIME,
    masscan_walk,
    reverse_byte_walk,
    shuffle,
    zmap_exponents,
    zmap_walk,
)

ADDRESSES = np.arange(2**12, dtype=np.uint32) + np.uint32(198 << 24 | 18 << 16)


@pytest.fixture(scope="module")
def records():
    table = simulate(400, seed=1, records_per_source=60, telescope="198.18.0.0/20")
    frame = {name: table[name].to_numpy(zero_copy_only=False) for name in table.schema.names}
    frame["kind"] = np.array([label.split("-")[0] for label in frame["label"]])
    frame["dst"] = np.array([int.from_bytes(map(int, text.split("."))) for text in frame["dst_ip"]])
    return frame


def test_zmap_walk_holds_the_exponents_of_the_addresses():
    exponent = zmap_exponents(np.random.default_rng(0), 1)[0]
    assert gcd(exponent, ZMAP_ORDER) == 1
    walk = zmap_walk(ADDRESSES, exponent)
    generator = pow(3, exponent, ZMAP_PRIME)
    assert (np.diff(walk.positions.astype(np.int64)) > 0).all()
    for step, address in list(zip(walk.positions.tolist(), walk.addresses.tolist(), strict=True))[::97]:
        assert pow(generator, step, ZMAP_PRIME) == address


def test_walks_visit_every_address_once():
    for walk in (zmap_walk(ADDRESSES, 7), masscan_walk(ADDRESSES, 5), reverse_byte_walk(ADDRESSES)):
        assert sorted(walk.addresses.tolist()) == ADDRESSES.tolist()
        assert int(walk.positions.max()) < walk.length


@settings(max_examples=30, deadline=None)
@given(size=st.integers(9, 3000), seed=st.integers(0, 2**62))
def test_shuffle_is_a_permutation(size, seed):
    assert sorted(shuffle(np.arange(size, dtype=np.uint64), size, seed).tolist()) == list(range(size))


def test_tools_leave_their_fingerprints(records):
    tcp = records["protocol"] == 6
    zmap, masscan = records["kind"] == "zmap", (records["kind"] == "masscan") & tcp
    worm, backscatter = records["kind"] == "worm", records["kind"] == "backscatter"
    assert (records["ip_id"][zmap] == 54321).all()
    expected = (records["dst"] ^ records["dst_port"] ^ np.nan_to_num(records["tcp_seq"]).astype(np.int64)) & 0xFFFF
    assert (records["ip_id"][masscan] == expected[masscan]).all()
    assert (records["tcp_seq"][worm] == records["dst"][worm]).all()
    assert set(records["tcp_flags"][backscatter]) == {0x12, 0x14}
    assert np.isnan(records["tcp_flags"][~tcp].astype(float)).all()


def test_each_source_has_one_actor_and_actors_have_several_sources(records):
    pairs = set(zip(records["src_ip"], records["label"], strict=True))
    assert len(pairs) == len(set(records["src_ip"]))
    assert len(set(records["label"])) < len(pairs) / 3


def test_research_scanners_share_a_slash_24(records):
    research = records["kind"] == "research"
    networks = {}
    for source, label in zip(records["src_ip"][research], records["label"][research], strict=True):
        networks.setdefault(label, set()).add(source.rsplit(".", 1)[0])
    assert all(len(found) == 1 for found in networks.values())
    assert len({tuple(found) for found in networks.values()}) == len(networks)


def test_a_scanning_source_repeats_no_destination_within_a_sweep(records):
    source = records["src_ip"][records["kind"] == "zmap"][0]
    targets = records["dst"][records["src_ip"] == source]
    assert len(set(targets)) == len(targets)


def test_same_seed_same_records_and_another_seed_others():
    first, second = simulate(50, seed=3), simulate(50, seed=3)
    assert first.equals(second)
    assert not first.equals(simulate(50, seed=4))
    times = first["timestamp"].to_numpy()
    assert (np.diff(times) >= 0).all()


def test_a_written_simulation_holds_the_same_records(tmp_path):
    chosen = SimulationSettings(sources=60, seed=3)
    rows = write_simulation(tmp_path / "flows.parquet", chosen)
    table = pq.read_table(tmp_path / "flows.parquet")
    assert rows == table.num_rows
    expected = simulate(60, seed=3)
    assert table.sort_by("timestamp").cast(expected.schema).equals(expected)
    assert [path.name for path in tmp_path.iterdir()] == ["flows.parquet"]


@pytest.mark.parametrize(
    "wrong", [{"sources": 0}, {"days": 0}, {"telescope": "192.0.2.0/33"}, {"telescope": "0.0.0.0/0"}]
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(InputError):
        SimulationSettings(**wrong)


def test_a_duration_without_room_for_the_sources_is_refused() -> None:
    with pytest.raises(InputError, match=r"days: 1e-300 is shorter"):
        SimulationSettings(days=1e-300)
