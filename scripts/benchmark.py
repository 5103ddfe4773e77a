"""Measure how fast the project's methods are beside the usual ways. Run with --help for the arguments."""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
# the repository's own folder comes first, so that a fresh clone works before it is installed
sys.path.insert(0, str(REPOSITORY))

EPILOG = """\
A benchmark is a module in scripts/benchmarks with comparisons(device, seed), which yields
shared.evaluation.timing.Comparison objects, and BUNDLE, if it uses a bundle's networks.

examples:
  python scripts/benchmark.py
  python scripts/benchmark.py monte_carlo_dropout --rounds 3 --threads 2 --output benchmark.json
"""


def benchmarks() -> dict[str, str]:
    """Return what each benchmark measures, by its name, without importing any."""
    files = sorted((REPOSITORY / "scripts" / "benchmarks").glob("*.py"))
    return {file.stem: ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "" for file in files}


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Return the arguments."""
    known = benchmarks()
    listing = "\n".join(f"  {name:<24}{text}" for name, text in known.items())
    parser = argparse.ArgumentParser(
        prog="benchmark.py",
        description="Measure how fast the project's methods are beside the usual ways, in one run on one machine.\n\n"
        f"benchmarks:\n{listing}",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=1, help="rounds before these (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="computing threads (default: as torch chooses)")
    parser.add_argument("--device", default="cpu", help="torch device (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, images and masks (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parsed = parser.parse_args(arguments)
    if unknown := [name for name in parsed.names if name not in known]:
        parser.error(f"unknown benchmark '{unknown[0]}'; known are: {', '.join(known)}")
    if parsed.rounds < 1 or parsed.warm_up < 0 or (parsed.threads is not None and parsed.threads < 1):
        parser.error("--rounds and --threads must be at least 1, --warm-up at least 0")
    return parsed


def run(name: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Run one benchmark, print a line for each rival, and return the measurements."""
    import torch  # takes seconds, which --help and a mistyped name need not wait for

    from shared.evaluation.timing import measure

    # every bundle calls its package 'scripts': forget the one before
    for loaded in [loaded for loaded in sys.modules if loaded.split(".")[0] == "scripts"]:
        del sys.modules[loaded]
    bundle_root = _bundle_root(name)
    if bundle_root is not None:
        sys.path.insert(0, str(bundle_root))
    module = importlib.import_module(f"benchmarks.{name}")
    results = []
    print(f"\n{name}: {benchmarks()[name]}")
    print(f"{'':<28}{'against':<28}{'subject':>12}{'rival':>12}{'ratio':>8}{'least':>8}{'greatest':>10}{'goal':>7}")
    for comparison in module.comparisons(torch.device(arguments.device), arguments.seed):
        measurement = measure(comparison, arguments.rounds, arguments.warm_up).to_dict()
        results.append(measurement)
        unit = measurement["unit"]
        middle = {key: sorted(values)[len(values) // 2] for key, values in measurement["amounts"].items()}
        for rival, ratio in measurement["rivals"].items():
            goal = "" if ratio["goal"] is None else f"{ratio['goal']:g}"
            mark = {None: "", True: "  reached", False: "  MISSED"}[ratio["reached"]]
            print(
                f"{comparison.name:<28}{rival:<28}"
                f"{_amount(middle['subject'], unit):>12}{_amount(middle[rival], unit):>12}"
                f"{_ratio(ratio['ratio']):>8}{_ratio(ratio['least']):>8}{_ratio(ratio['greatest']):>10}{goal:>7}{mark}",
                flush=True,
            )
    return results


def _amount(value: float, unit: str) -> str:
    """Return an amount as it is printed: to the millisecond, or to the unit."""
    return f"{value:.3f} s" if unit == "s" else f"{value:.0f} {unit}"


def _ratio(value: float) -> str:
    """Return a ratio as it is printed: the enormous ones of extrapolations by their power of ten."""
    return f"{value:.1f}" if value < 1e5 else f"{value:.0e}"


def _bundle_root(name: str) -> Path | None:
    """Return the bundle that a benchmark names, before it is imported: it imports the bundle's ``scripts``."""
    file = REPOSITORY / "scripts" / "benchmarks" / f"{name}.py"
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "BUNDLE":
            return REPOSITORY / "bundles" / ast.literal_eval(node.value)
    return None


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code: 1 if a goal was missed."""
    parsed = parse_arguments(arguments)
    if parsed.threads is not None:
        # before torch is imported: libraries read it once
        os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(parsed.threads)
    import torch

    from shared.data.files import write_json
    from shared.evaluation.provenance import provenance

    if parsed.threads is not None:
        torch.set_num_threads(parsed.threads)
    print(
        f"torch {torch.__version__} on {parsed.device}, {torch.get_num_threads()} threads, {os.cpu_count()} cores, "
        f"median of {parsed.rounds} rounds"
    )
    results = {name: run(name, parsed) for name in parsed.names or benchmarks()}
    if parsed.output is not None:
        setting = {
            "device": parsed.device,
            "threads": torch.get_num_threads(),
            "cores": os.cpu_count(),
            "rounds": parsed.rounds,
            "warm_up": parsed.warm_up,
        }
        write_json(parsed.output, {"setting": setting, "benchmarks": results, "provenance": provenance(parsed.seed)})
        print(f"\nwrote {parsed.output}")
    rivals = [rival for result in results.values() for entry in result for rival in entry["rivals"].values()]
    return 1 if any(rival["reached"] is False for rival in rivals) else 0


if __name__ == "__main__":
    sys.exit(main())
