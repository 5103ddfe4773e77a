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
    try:
        eval_dir, bundle_root = find_folders(_folder(options.folder))
        root = options.bundle_root or bundle_root
        print(build_report(eval_dir, root, options.output, options.calibration_file, options.without_calibration))
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _folder(given: str) -> Path:
    """Return the folder given, or the bundle of that name; a folder of the working directory comes first."""
    bundle = REPOSITORY / "bundles" / given
    return bundle if not Path(given).is_dir() and Path(given).name == given and bundle.is_dir() else Path(given)


if __name__ == "__main__":
    sys.exit(main())
