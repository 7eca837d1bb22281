"""Write the recorded benchmarks into docs/explanation/speed.md: `python tests/benchmarks/table.py`.

Each benchmark beside this file records its figures under `results/`; this program only renders them.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs" / "explanation" / "speed.md"
MARK = re.compile(r"(<!-- benchmarks -->\n).*?(<!-- end -->)", re.DOTALL)
HEAD = ("| what | measured | compared with | benchmark |", "|---|---|---|---|")

# A relative gap this small is rounding.
PROVED = 1e-8

Row = tuple[str, str, str]


def pcap(found: dict[str, Any]) -> Iterator[Row]:
    for name, what in (("per_packet", "packets of a capture to records"), ("flows", "packets to flow records")):
        ratio = found[name] / found["dpkt"]
        yield what, f"{found[name] / 1e6:.1f} million packets a second", f"dpkt: {ratio:.0f} times as fast"


def labels(found: dict[str, Any]) -> Iterator[Row]:
    size = f"{found['addresses'] / 1e6:.0f} million addresses against {found['prefixes']:,} prefixes"
    yield size, f"{found['join']:.1f} s", ""


def model(found: dict[str, Any]) -> Iterator[Row]:
    yield "tokens", f"{found['tokenizer_records_per_second'] / 1e6:.0f} million records a second", ""
    tasks = {
        "training_pairs_per_second": "training, pairs",
        "embedding_windows_per_second": "embedding, windows",
        "shipped_embedding_windows_per_second": "embedding with the shipped checkpoint, windows",
    }
    for task, what in tasks.items():
        for size, rates in found.get(task, {}).items():
            ratio = f"the paper's recipe written plainly: {rates['bf16_to_plain']:.1f} times as fast"
            yield f"{what} of {size}, bf16", f"{rates['bf16']:,.0f} a second", ratio


def prepare(found: dict[str, Any]) -> Iterator[Row]:
    size = f"{found['dataset']['records'] / 1e6:.0f} million flow records of {found['dataset']['sources']:,} sources"
    run = found["prepare"]
    processor = f"{run['processor_seconds']:.0f} s of processor time"
    yield f"preparing {size}", f"{processor} ({run['seconds']:.0f} s), {run['peak_gb']:.1f} GB", ""
    reading = found.get("reading")
    if reading:
        yield "reading prepared windows from disk", f"{reading['windows_per_second']:,} windows a second", ""


def clustering(found: dict[str, Any]) -> Iterator[Row]:
    for run in found.get("gaec", []):
        measured = f"{run['seconds']:.2f} s ({run['cpu']:.2f} s of processor time), {run['peak_mb']:,} MB"
        yield f"GAEC on {run['n']:,} windows ({run['instance']})", measured, run["peer"]
    for run in found.get("sweep", []):
        yield f"sweep ({run['instance']})", f"{run['seconds']:.1f} s", run["peer"]
    for run in found.get("quality", []):
        reached = run["reached_seconds"]
        after = "not reached" if reached is None else f"reached after {reached:.2f} s"
        peer = f"{run['peer']}: W = {run['peer_W']:,.2f} in {run['peer_seconds']} s"
        yield f"search on {run['n']:,} windows ({run['instance']})", f"W = {run['W']:,.2f}, the peer's {after}", peer
    yield from cliques(found.get("cliques", []))
    yield from certificates(found.get("certificates", []))
    yield from modularity(found.get("modularity", []))
    for run in found.get("search", []):
        what = f"clique partitioning of {run['n']} nodes, {run['instance']} weights, {run['time_limit']} s"
        yield what, f"W = {run['W']:,.0f}", f"CPP-P3: W = {run['CPP-P3']:,.0f}" if "CPP-P3" in run else ""
    for run in found.get("signed", []):
        peer = run.get("leiden")
        measured = f"cost {run['cost']:,.0f}, {proof(run['gap'])}, {run['cpu']:.1f} s of processor time"
        yield f"{run['instance']} (n = {run['n']:,})", measured, f"Leiden: cost {peer:,.0f}" if peer else ""
    for run in found.get("bounds", []):
        what = f"{run['n']:,} embeddings ({run['instance']}), {run['time_limit']} s"
        yield what, proof(run["gap"]), f"aim: {run['aim']:.1%}"
    for run in found.get("sparse", []):
        what = f"{run['n']:,} nodes, {run['edges'] / 1e6:.1f} million edges of nearest neighbours, found, solved"
        measured = f"{run['seconds']:.0f} s, bounded with a gap of {run['gap']:.1%}, {run['peak_mb'] / 1024:.1f} GiB"
        yield what, f"{measured}; GAEC of it {run['stages']['greedy']:.1f} s", run["peer"]


def klj(found: dict[str, Any]) -> Iterator[Row]:
    for run in found["rows"]:
        measured = f"cost {run['cost']:,.2f} in {run['cpu']:.2f} s of processor time"
        peer = f"andres GAEC + KLj: cost {run['klj_cost']:,.2f} in {run['klj_seconds']:.2f} s"
        yield f"search on {run['instance']} (n = {run['n']:,}, {run['edges']:,} edges)", measured, peer


def proof(gap: float) -> str:
    return "proved optimal" if gap < PROVED else f"gap {gap:.2%}"


def cliques(runs: list[dict[str, Any]]) -> Iterator[Row]:
    if not runs:
        return
    missed = [run for run in runs if run["W"] < run["best_known"]]
    short = ", ".join(f"{run['instance']} {1 - run['W'] / run['best_known']:.2%} below" for run in missed)
    measured = f"best known value on {len(runs) - len(missed)} of {len(runs)}" + (f"; {short}" if short else "")
    yield "clique partitioning, 60 s an instance", measured, "best published values"


def certificates(runs: list[dict[str, Any]]) -> Iterator[Row]:
    for size in sorted({run["n"] for run in runs}):
        some = [run for run in runs if run["n"] == size]
        proved = sum(run["gap"] < PROVED for run in some)
        measured = f"{proved} of {len(some)} proved optimal, widest gap {max(run['gap'] for run in some):.2%}"
        seconds = median(run["seconds"] for run in some)
        yield f"embeddings of {size:,} windows, complete graphs", f"{measured}, {seconds:.1f} s in the median", ""


def modularity(runs: list[dict[str, Any]]) -> Iterator[Row]:
    for run in runs:
        measured = f"W = {run['W']:,.0f}, {proof(run['gap'])}, {run['seconds']} s"
        yield f"modularity of {run['instance']} (n = {run['n']})", measured, f"best known {run['best_known']:,}"


def update(found: dict[str, Any]) -> Iterator[Row]:
    for run in found.values():
        size = f"{run['days']} days of a running analysis, to {run['windows']:,} windows"
        measured = f"{run['seconds'] / run['days']:.1f} s of processor time a day"
        if "slope" in run:
            measured += f" ({run['slope']:+.0%} from first to last, of windows {run['slope_of_windows']:+.0%})"
        saved = f"its cost is {run['ratio']:.4f} times that of solving at once"
        yield size, f"{measured}, gap of the last certificate {run['gap']:.1%}", saved


def scale(found: dict[str, Any]) -> Iterator[Row]:
    for run in found.values():
        size = f"{run['sources']:,} sources x {run['records_per_source']:g} records"
        peer = ""
        if "baseline" in run:
            base = run["baseline"]
            peer = f"TF-IDF + Leiden: {base['processor_seconds']:.0f} s, ARI {agreement(base['best_ari'])}"
        for name, what in (("analyze", "analyze --no-adapt"), ("adapt", "analyze")):
            if name in run:
                cost = f"{run[name]['processor_seconds']:.0f} s of processor time ({run[name]['seconds']:.0f} s)"
                yield (
                    f"{what}, {size}",
                    f"{cost}, {run[name]['peak_gb']:.1f} GB, ARI {agreement(run[name]['ari'])}",
                    peer,
                )


def agreement(ari: float) -> str:
    """Two decimals, or two significant digits of a small value, so that none is shown as 0.00."""
    return f"{ari:.2f}" if abs(ari) >= 0.1 or not ari else f"{ari:.2g}"


RENDERERS = {
    "pcap": pcap,
    "labels": labels,
    "prepare": prepare,
    "model": model,
    "clustering": clustering,
    "klj": klj,
    "update": update,
    "scale": scale,
}


def rows() -> Iterator[str]:
    """The lines of the table, for every benchmark that has recorded figures."""
    yield from HEAD
    for name, render in RENDERERS.items():
        recorded = HERE / "results" / f"{name}.json"
        if recorded.is_file():
            for row in render(json.loads(recorded.read_text())):
                yield f"| {' | '.join(row)} | `{name}.py` |"


def main() -> None:
    text, number = MARK.subn(lambda match: "\n".join([match[1].rstrip("\n"), *rows(), match[2]]), DOCUMENT.read_text())
    if number != 1:
        raise SystemExit(
            f"{DOCUMENT}: expected one section marked <!-- benchmarks --> ... <!-- end -->, found {number}"
        )
    DOCUMENT.write_text(text)


if __name__ == "__main__":
    main()
