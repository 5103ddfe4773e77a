"""Build the report of a bundle, set two runs side by side, or say which explanation is for which purpose.

    report.py BUNDLE                build report.html, card.json, the model card and the checklists
    report.py compare A B           two runs side by side, and which differences exceed their intervals
    report.py table [BUNDLE …]      which explanation for which purpose, and how sure, over all bundles
    report.py trade-off DIR …       result against quality of explanations, over several models

A run is a bundle's name, its folder, an evaluation folder or a card.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
# the repository's own folder comes first, so that a fresh clone works before it is installed
sys.path.insert(0, str(REPOSITORY))

from shared.data.errors import DataError  # noqa: E402
from shared.data.files import atomic_path  # noqa: E402
from shared.report.build import build_report  # noqa: E402
from shared.report.comparison import compare  # noqa: E402
from shared.report.comparison_text import comparison_html, comparison_markdown, comparison_terminal  # noqa: E402
from shared.report.purposes_text import purposes_markdown  # noqa: E402
from shared.report.runs import name_runs, read_run  # noqa: E402
from shared.report.sources import find_folders  # noqa: E402
from shared.report.trade_off_study import read_trade_off  # noqa: E402
from shared.report.trade_off_text import trade_off_html, trade_off_markdown  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Run a command; print what it made, or where that is."""
    given = sys.argv[1:] if arguments is None else arguments
    name, rest = (given[0], given[1:]) if given and given[0] in COMMANDS else ("", given)
    try:
        COMMANDS[name](rest)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _build(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="report.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="bundle", help="a bundle's name, its folder, or an evaluation folder")
    parser.add_argument("--bundle-root", type=Path, help="bundle of an evaluation folder that lies elsewhere")
    parser.add_argument(
        "--output", type=Path, help="HTML file to write (default: report.html in the evaluation folder)"
    )
    parser.add_argument(
        "--calibration-file", type=Path, help="calibration of the results, where it is not the bundle's own"
    )
    parser.add_argument(
        "--without-calibration",
        action="store_true",
        help="replace an older page even if the calibration of the results is not at hand",
    )
    options = parser.parse_args(arguments)
    eval_dir, bundle_root = find_folders(_folder(options.folder))
    root = options.bundle_root or bundle_root
    print(build_report(eval_dir, root, options.output, options.calibration_file, options.without_calibration))


def _compare(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="report.py compare", description="Set two runs side by side.")
    parser.add_argument("first", help="the run that differences are taken from")
    parser.add_argument("second", help="the run that is set against it")
    parser.add_argument("--all", action="store_true", help="print every number, not only what exceeds its interval")
    parser.add_argument("--output", type=Path, help="write all of it to a file instead: .md or .html")
    options = parser.parse_args(arguments)
    first, second = name_runs([read_run(_folder(options.first)), read_run(_folder(options.second))])
    found = compare(first, second)
    if options.output is None:
        print(comparison_terminal(found, options.all), end="")
    else:
        _write(options.output, {".md": lambda: comparison_markdown(found), ".html": lambda: comparison_html(found)})


def _table(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="report.py table", description="Say which explanation is for which purpose, and how sure that is."
    )
    parser.add_argument("runs", nargs="*", help="default: every bundle of the repository that has been explained")
    parser.add_argument("--output", type=Path, help="write to a Markdown file instead")
    options = parser.parse_args(arguments)
    runs = name_runs([read_run(_folder(run)) for run in options.runs or _explained_bundles()])
    if options.output is None:
        print(purposes_markdown(runs), end="")
    else:
        _write(options.output, {".md": lambda: purposes_markdown(runs)})


def _trade_off(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="report.py trade-off", description="Set the results of several models against their explanations."
    )
    parser.add_argument("folders", nargs="+", help="folders of studies, with their table.csv, or runs")
    parser.add_argument("--output", type=Path, help="write to a file instead: .md, or .html with the picture")
    options = parser.parse_args(arguments)
    parts = read_trade_off([_folder(folder) for folder in options.folders])
    if options.output is None:
        print(trade_off_markdown(parts), end="")
    else:
        _write(options.output, {".md": lambda: trade_off_markdown(parts), ".html": lambda: trade_off_html(parts)})


def _write(path: Path, forms: dict[str, Callable[[], str]]) -> None:
    """Write what the suffix asks for, and print the path."""
    if path.suffix not in forms:
        raise DataError(f"{path}: found the suffix {path.suffix!r}, expected {' or '.join(forms)}")
    text = forms[path.suffix]()
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(path)


def _explained_bundles() -> list[str]:
    """Return the bundles that have an evaluation with explanations."""
    found = sorted(path.parents[1].name for path in (REPOSITORY / "bundles").glob("*/eval/interpretability.json"))
    if not found:
        raise DataError(f"{REPOSITORY / 'bundles'}: no bundle has been explained; run ./scripts/demo.sh first")
    return found


def _folder(given: str) -> Path:
    """Return the path given, or the bundle of that name; what is in the working directory comes first."""
    bundle = REPOSITORY / "bundles" / given
    return bundle if not Path(given).exists() and Path(given).name == given and bundle.is_dir() else Path(given)


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "": _build,
    "compare": _compare,
    "table": _table,
    "trade-off": _trade_off,
}


if __name__ == "__main__":
    sys.exit(main())
