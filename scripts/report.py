"""Build the HTML report of a bundle from the files that evaluating and explaining have written."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
# the repository's own folder comes first, so that a fresh clone works before it is installed
sys.path.insert(0, str(REPOSITORY))

from shared.data.errors import DataError  # noqa: E402
from shared.report.build import build_report  # noqa: E402
from shared.report.sources import find_folders  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Build the report and print its path."""
    parser = argparse.ArgumentParser(prog="report.py", description=__doc__)
    parser.add_argument("folder", type=Path, help="a bundle (bundles/<name>) or an evaluation folder")
    parser.add_argument("--bundle-root", type=Path, help="bundle of an evaluation folder that lies elsewhere")
    parser.add_argument(
        "--output", type=Path, help="HTML file to write (default: report.html in the evaluation folder)"
    )
    options = parser.parse_args(arguments)
    try:
        eval_dir, bundle_root = find_folders(options.folder)
        print(build_report(eval_dir, options.bundle_root or bundle_root, options.output))
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
