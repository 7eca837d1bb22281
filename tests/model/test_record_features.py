"""Features of records among their neighbours, against their definition in words."""

import pytest
import torch

from telescope_transformer import FlowTokenizer
from telescope_transformer.model.configuration_telescope import field_offsets
from telescope_transformer.model.record_features_telescope import (
    FEATURES,
    TelescopeRecordFeatures,
    radial_basis,
    signed_log,
)

FIELDS = ["dst_octet_1", "dst_octet_2", "dst_octet_3", "dst_octet_4", "dst_port", "protocol", "src_port"]


def records(count: int = 6, **changes: list) -> list[dict]:
    """A sweep over neighbouring destinations, one second apart, from a counting source port."""
    rows = [
        {
            "timestamp": 1_000_000 * row,
            "dst_ip": f"198.51.100.{row}",
            "dst_port": 23,
            "protocol": 6,
            "src_port": 40_000 + row,
        }
        for row in range(count)
    ]
    for name, values in changes.items():
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return rows


def features(name: str, rows: list[dict], padding: int = 0) -> torch.Tensor:
    """Features (T, width) of one window, with so much padding after it."""
    torch.manual_seed(0)
    module = TelescopeRecordFeatures([name], field_offsets(FIELDS))
    tokens = FlowTokenizer(FIELDS)(rows)
    ids = torch.as_tensor(tokens["input_ids"]).unsqueeze(0)
    seconds = torch.as_tensor(tokens["inter_arrival"]).unsqueeze(0)
    mask = torch.ones(1, len(rows), dtype=torch.long)
    ids = torch.cat([ids, torch.zeros(1, padding, len(FIELDS), dtype=ids.dtype)], dim=1)
    seconds = torch.cat([seconds, torch.full((1, padding), 7.0)], dim=1)
    mask = torch.cat([mask, torch.zeros(1, padding, dtype=torch.long)], dim=1)
    with torch.no_grad():
        return module(ids, seconds, mask)[0, : len(rows)]


@pytest.mark.parametrize("name", FEATURES)
def test_padding_and_width(name: str) -> None:
    plain = features(name, records())
    assert plain.shape == (6, FEATURES[name].width)
    torch.testing.assert_close(features(name, records(), padding=3), plain)


def test_a_radial_basis_is_one_at_its_centres_and_smooth_between() -> None:
    basis = radial_basis(torch.tensor([0.0, 2.0, 0.5]), 0, 4, 5)
    torch.testing.assert_close(basis.diagonal()[0], torch.tensor(1.0))
    assert basis[1].argmax() == 2
    torch.testing.assert_close(basis[2, 0], basis[2, 1])


def test_signed_log_keeps_the_sign() -> None:
    two = torch.log(torch.tensor(2.0))
    torch.testing.assert_close(signed_log(torch.tensor([-1.0, 0.0, 1.0])), torch.stack([-two, 0 * two, two]))


def test_times_know_ties_and_ends() -> None:
    rows = records(4, timestamp=[0, 0, 5_000_000, 9_000_000])
    scales = features("time_scales", rows)
    since_flags, until_flags = scales[:, 20:22], scales[:, 42:44]
    assert since_flags.tolist() == [[0, 1], [1, 0], [0, 0], [0, 0]]  # tie, nothing before
    assert until_flags.tolist() == [[1, 0], [0, 0], [0, 0], [0, 1]]  # tie, nothing after
    torch.testing.assert_close(scales[3, :20], radial_basis(torch.log1p(torch.tensor(4.0)), 0, 15, 20))
    torch.testing.assert_close(scales[3, 44:], radial_basis(torch.log1p(torch.tensor(9.0)), 0, 16, 12))


def test_relations_count_within_the_window() -> None:
    relations = features("relations", records(4, dst_port=[23, 23, 80, 23]))
    same, share, first = relations[:, 12:15].T
    assert same.tolist() == [0, 1, 0, 0]
    assert share.tolist() == [0.75, 0.75, 0.25, 0.75]
    assert first.tolist() == [1, 0, 1, 0]


def test_a_sweep_shows_its_stride_wherever_it_runs() -> None:
    here = features("relations", records())
    there = features("relations", records(dst_ip=[f"203.0.113.{row + 70}" for row in range(6)]))
    torch.testing.assert_close(there, here)
    back = features("relations", records(dst_ip=[f"203.0.113.{70 - row}" for row in range(6)]))
    assert not torch.allclose(back, here)


def test_what_records_do_not_carry_leaves_no_trace() -> None:
    rows = records()
    for row in rows:
        del row["src_port"], row["dst_ip"]
    relations = features("relations", rows)
    assert relations[:, 15:].abs().sum() == 0
    scales = features("port_scales", rows)
    assert scales[:, 16:32].abs().sum() == 0
    assert scales[:, 33:].abs().sum() == 0
