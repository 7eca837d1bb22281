"""Mutation testing of the core: which small changes of the code do its tests not notice?

Run: python tests/benchmarks/mutation.py --most 20
     python tests/benchmarks/mutation.py --only windows

Each mutant changes one operator, comparison, constant or condition of a module, in a copy of the package, and runs the
tests of that module. A mutant that no test notices survives. Writes the number of mutants and the survivors of each
module to tests/benchmarks/results/mutation.json, and keeps earlier results of modules that are not measured now. A
survivor is recorded with the text of its line, because line numbers change. If the module no longer has the line, it
was rewritten after the measurement. A module takes minutes, because each mutant costs a run of its tests.
"""

import argparse
import ast
import copy
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).parent / "results" / "mutation.json"
# Many times longer than the tests of a module take, to detect mutants that loop forever.
SECONDS = 600.0
# Folder of compiled kernels in the copy.
KERNELS = "kernels"
SOLVER_TESTS = "tests/correlation_clustering"
TARGETS = {
    "loss": ("model/contrastive_loss.py", ["tests/learning/test_objectives.py"]),
    "objective": ("learning/objectives/nt_xent.py", ["tests/learning/test_objectives.py"]),
    "windows": ("windows.py", ["tests/test_windows.py"]),
    "order": ("record_order.py", ["tests/test_windows.py"]),
    "flows": ("records/flows.py", ["tests/records/test_flows.py"]),
    "arrays": ("arrays.py", ["tests/test_arrays.py"]),
    "similarity": ("similarity.py", ["tests/test_similarity.py"]),
    "calibration": ("calibration.py", ["tests/test_calibration.py"]),
    "greedy": (
        "correlation_clustering/search/greedy.py",
        [f"{SOLVER_TESTS}/test_greedy.py", f"{SOLVER_TESTS}/test_rules.py"],
    ),
    "dual": (
        "correlation_clustering/bounds/dual.py",
        [f"{SOLVER_TESTS}/test_dual.py", f"{SOLVER_TESTS}/test_rules.py"],
    ),
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}


class Mutant(NamedTuple):
    """A changed module: the line of the change, the code before and after it, and the whole source."""

    line: int
    before: str
    after: str
    source: str


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """The mutations of a syntax node."""
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        yield ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        yield ast.Compare(node.left, [COMPARISONS[type(node.ops[0])](), *node.ops[1:]], node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
    elif isinstance(node, (ast.IfExp, ast.If, ast.While)):
        changed = copy.copy(node)
        changed.test = ast.UnaryOp(ast.Not(), node.test)
        yield changed
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not, ast.Invert)):
        yield node.operand


def mutants(source: str) -> list[Mutant]:
    """All mutants of a module, in the order of its code; annotations, docstrings and decorators are not mutated."""
    found = []
    tree = ast.parse(source)
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if name in ("annotation", "returns", "decorator_list"):
                continue
            for place, child in enumerate(value if isinstance(value, list) else [value]):
                for changed in changes(child) if isinstance(child, ast.AST) else ():
                    _put(parent, name, place, ast.copy_location(changed, child))
                    line = getattr(child, "lineno", 0)
                    whole = ast.unparse(ast.fix_missing_locations(tree))
                    found.append(Mutant(line, _shown(child), _shown(changed), whole))
                    _put(parent, name, place, child)
    return sorted(found, key=lambda mutant: mutant.line)


def _put(parent: ast.AST, name: str, place: int, node: ast.AST) -> None:
    value = getattr(parent, name)
    if isinstance(value, list):
        value[place] = node
    else:
        setattr(parent, name, node)


def _shown(node: ast.AST) -> str:
    return ast.unparse(ast.fix_missing_locations(node)).splitlines()[0]


def importers(package: Path, module: str) -> set[str]:
    """Stems of the modules with compiled kernels that import `module`, directly or through other such modules."""
    sources = {path.stem: path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    imported = {
        stem: set().union(*map(_imports, ast.walk(ast.parse(text))))
        for stem, text in sources.items()
        if "njit" in text or "compiled import" in text
    }
    found: set[str] = set()
    wanted = {Path(module).stem}
    while wanted:
        wanted = {stem for stem, names in imported.items() if names & wanted} - found
        found |= wanted
    return found


def _imports(node: ast.AST) -> set[str]:
    """Last parts of the names that a statement imports from."""
    if isinstance(node, ast.ImportFrom) and node.module:
        return {node.module.rpartition(".")[2], *(alias.name for alias in node.names)}
    return set()


def forget_kernels(copied: Path, stems: set[str]) -> None:
    """Remove the compiled kernels of some modules.

    Numba compiles the kernels of a file again when the file changes, but not those of other files that call them.
    """
    for stem in stems:
        for path in (copied / KERNELS).rglob(f"{stem}.*.nb?"):
            path.unlink()


def passes(copied: Path, tests: list[str]) -> bool:
    """Whether the tests pass with the copy of the package."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--rootdir", str(copied), *tests]
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(copied / KERNELS),
        "PYTHONPATH": str(copied),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    try:
        done = subprocess.run(command, cwd=copied, env=environment, capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def measure(copied: Path, module: str, tests: list[str], most: int, seed: int) -> dict[str, object]:
    """Mutate one module of the copy, and restore it afterwards."""
    path = copied / "telescope_transformer" / module
    source = path.read_text(encoding="utf-8")
    if not passes(copied, tests):
        raise SystemExit(f"{', '.join(tests)}: fails without any change")
    callers = importers(copied / "telescope_transformer", module)
    every = mutants(source)
    chosen = every if len(every) <= most else random.Random(seed).sample(every, most)
    survivors = []
    try:
        for mutant in sorted(chosen, key=lambda one: one.line):
            path.write_text(mutant.source, encoding="utf-8")
            forget_kernels(copied, callers)
            if passes(copied, tests):
                line = source.splitlines()[mutant.line - 1].strip()
                survivors.append(f"{line}: {mutant.before} -> {mutant.after}")
                print(f"{module}: survived: {survivors[-1]}", file=sys.stderr)
    finally:
        path.write_text(source, encoding="utf-8")
        forget_kernels(copied, callers)
    return {"module": module, "mutants": len(every), "tried": len(chosen), "survivors": survivors}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(TARGETS), action="append", help="part of the core (repeatable)")
    parser.add_argument("--most", type=int, default=20, help="mutants tried in each module, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    known = json.loads(arguments.output.read_text(encoding="utf-8")) if arguments.output.is_file() else {}
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        copied = Path(folder) / "checkout"
        ignored = shutil.ignore_patterns("__pycache__", "benchmarks")
        for name in ("telescope_transformer", "tests", "training"):
            shutil.copytree(ROOT / name, copied / name, ignore=ignored)
        shutil.copyfile(ROOT / "pyproject.toml", copied / "pyproject.toml")
        for name in arguments.only or TARGETS:
            module, tests = TARGETS[name]
            known[name] = measure(copied, module, tests, arguments.most, arguments.seed)
            arguments.output.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    for name, result in known.items():
        print(f"{name}: {len(result['survivors'])} of {result['tried']} mutants survive")


if __name__ == "__main__":
    main()
