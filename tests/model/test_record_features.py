"""Features of records relative to other records, compared with their definition."""

import pytest
import torch
from torch.nn import functional as F

from telescope_transformer import FlowTokenizer
from telescope_transformer.model.configuration_telescope import field_offsets
from telescope_transformer.model.record_features_telescope import (
    TelescopeRecordFeatures,
    radial_basis,
    signed_log,
)

FIELDS = ["dst_octet_1", "dst_octet_2", "dst_octet_3", "dst_octet_4", "dst_port", "protocol", "src_port"]


def records(count: int = 6, **changes: list) -> list[dict]:
    """A sweep over neighbouring destinations, one second apart, with ascending source ports."""
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


def features(name: str, rows: list[dict], before: int = 0, after: int = 0) -> torch.Tensor:
    """The features (T, width) of one feature module for one window, with padding before and after it."""
    torch.manual_seed(0)
    module = TelescopeRecordFeatures(field_offsets(FIELDS))
    parts = {"times": module.times, "ports": module.ports, "relations": module.relations}
    tokens = FlowTokenizer(FIELDS)(rows)
    ids = F.pad(torch.as_tensor(tokens["input_ids"]), (0, 0, before, after)).unsqueeze(0)
    seconds = F.pad(torch.as_tensor(tokens["inter_arrival"]), (before, after), value=7.0).unsqueeze(0)
    mask = F.pad(torch.ones(1, len(rows), dtype=torch.long), (before, after))
    with torch.no_grad():
        everything = module(ids, seconds, mask)[0, before : before + len(rows)]
    widths = [part.width for part in parts.values()]
    assert everything.shape == (len(rows), module.width)
    return dict(zip(parts, everything.split(widths, dim=1), strict=True))[name]


@pytest.mark.parametrize("name", ["times", "ports", "relations"])
@pytest.mark.parametrize(("before", "after"), [(0, 3), (3, 0), (2, 2)])
def test_padding_on_either_side_changes_nothing(name: str, before: int, after: int) -> None:
    plain = features(name, records())
    torch.testing.assert_close(features(name, records(), before, after), plain)


def test_a_radial_basis_is_one_at_its_centres_and_smooth_between() -> None:
    basis = radial_basis(torch.tensor([0.0, 2.0, 0.5]), 0, 4, 5)
    torch.testing.assert_close(basis.diagonal()[0], torch.tensor(1.0))
    assert basis[1].argmax() == 2
    torch.testing.assert_close(basis[2, 0], basis[2, 1])


def test_signed_log_keeps_the_sign() -> None:
    two = torch.log(torch.tensor(2.0))
    torch.testing.assert_close(signed_log(torch.tensor([-1.0, 0.0, 1.0])), torch.stack([-two, 0 * two, two]))


def test_time_features_flag_ties_and_ends() -> None:
    rows = records(4, timestamp=[0, 0, 5_000_000, 9_000_000])
    scales = features("times", rows)
    since_flags, until_flags = scales[:, 20:22], scales[:, 42:44]
    assert since_flags.tolist() == [[0, 1], [1, 0], [0, 0], [0, 0]]  # flags: tie, nothing before
    assert until_flags.tolist() == [[1, 0], [0, 0], [0, 0], [0, 1]]  # flags: tie, nothing after
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


def test_source_ports_show_how_they_change_and_not_their_value() -> None:
    counting = features("relations", records())
    torch.testing.assert_close(features("relations", records(src_port=list(range(2000, 2006)))), counting)
    assert not torch.allclose(features("relations", records(src_port=[9_000, 700, 3_000, 52, 1_000, 80])), counting)
    here, there = features("ports", records(src_port=list(range(50_000, 50_006)))), features("ports", records())
    torch.testing.assert_close(here, there)


def test_a_source_port_of_a_service_is_shown() -> None:
    """Backscatter comes from the port of the attacked service, and goes to arbitrary ports."""
    web, names = (features("ports", records(2, src_port=[port, port])) for port in (443, 53))
    assert not torch.allclose(web[:, 17:25], names[:, 17:25])
    torch.testing.assert_close(web[0, 17:25], web[1, 17:25])


def test_ports_are_shared_by_their_bytes() -> None:
    ports = features("ports", records(3, dst_port=[0x1234, 0x1256, 0x7834]))
    assert torch.equal(ports[0, :8], ports[1, :8])
    assert torch.equal(ports[0, 8:16], ports[2, 8:16])
    assert not torch.equal(ports[0, :16], ports[1, :16])
    # A destination port equal to the source port, as in reflected traffic.
    assert features("ports", records(2, src_port=[23, 24]))[:, 26].tolist() == [1, 0]


def test_absent_fields_give_zeros() -> None:
    rows = records()
    for row in rows:
        del row["src_port"], row["dst_ip"]
    relations = features("relations", rows)
    assert relations[:, 15:].abs().sum() == 0
    assert features("ports", rows)[:, 17:].abs().sum() == 0
