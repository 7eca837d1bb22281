"""A local table of networks by name."""

import pytest

from telescope_transformer.errors import InputError
from telescope_transformer.labels import names_of_networks, read_networks


def test_the_longest_prefix_names_a_network(tmp_path) -> None:
    table = tmp_path / "networks.csv"
    table.write_text("prefix,name\n192.0.0.0/8,Big\n192.0.2.0/24,Small\n2001:db8::/32,Six\n")
    names = names_of_networks(
        ["192.0.2.0/24", "192.0.3.0/24", "198.51.100.0/24", "2001:db8:1::/48"], read_networks(table)
    )
    assert names == {"192.0.2.0/24": "Small", "192.0.3.0/24": "Big", "2001:db8:1::/48": "Six"}


@pytest.mark.parametrize("row", ["192.0.2.0/33,Name", "192.0.2.0/24", "192.0.2.0/24,a,b"])
def test_a_wrong_row_is_named(tmp_path, row: str) -> None:
    table = tmp_path / "networks.csv"
    table.write_text(f"198.51.100.0/24,Fine\n{row}\n")
    with pytest.raises(InputError, match=r"networks\.csv, row 2"):
        read_networks(table)


def test_a_missing_table_is_named(tmp_path) -> None:
    with pytest.raises(InputError, match=r"absent\.csv"):
        read_networks(tmp_path / "absent.csv")
