"""An analysis in Python: data frames, a summary of one line, and the first screen in a notebook."""

from dataclasses import replace
from pathlib import Path

from made_telescope import HOSTILE

from telescope_transformer.analysis import Analysis
from telescope_transformer.report import ReportData


def as_analysis(data: ReportData) -> Analysis:
    return Analysis(
        windows=data.windows,
        sources=data.sources,
        clusters=list(data.profiles),
        solution=dict(data.solution),
        counts=dict(data.counts),
        rejects=data.rejects,
        sensors={},
        traffic=data.traffic,
    )


def test_frames_have_timestamps(report_data: ReportData) -> None:
    frames = as_analysis(report_data).to_pandas()
    assert str(frames["windows"]["start"].dtype) == "datetime64[us, UTC]"
    assert frames["windows"]["start"].min().isoformat() == "2024-03-04T00:00:00+00:00"
    assert frames["sources"].set_index("source").loc["192.0.2.1", "cluster"] == 0
    assert frames["clusters"]["service"].tolist() == ["tcp/22 ssh", "udp/53 dns", "icmp/8"]
    assert frames["clusters"]["name"].is_unique


def test_an_analysis_is_one_line_and_in_a_notebook_its_first_screen(report_data: ReportData) -> None:
    analysis = as_analysis(report_data)
    assert repr(analysis) == "Analysis(31 sources, 30 windows, 3 clusters of several windows)"
    shown = analysis._repr_html_()
    assert "31 sources sent 241 records" in shown
    assert HOSTILE not in shown


def test_the_first_screen_counts_in_words(report_data: ReportData) -> None:
    *others, ping = report_data.profiles
    one = {**ping, "n_sources": 1, "n_networks": 1, "days": ping["days"][-1:]}
    shown = as_analysis(replace(report_data, profiles=[*others, one]))._repr_html_()
    assert f"{one['name']}: 1 source, 1 network, since 2024-03-13" in shown


def test_the_levels_of_an_earlier_analysis_do_not_stay(report_data: ReportData, tmp_path: Path) -> None:
    (tmp_path / "granularity.parquet").write_bytes(b"of other windows")
    as_analysis(report_data).write(tmp_path)
    assert not (tmp_path / "granularity.parquet").exists()
