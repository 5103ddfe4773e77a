"""Turn source data, or generated phantoms, into a bundle's datalist. Run with --help for the arguments."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monai.bundle import ConfigParser

REPOSITORY = Path(__file__).resolve().parents[1]
# the repository's own folder comes first, so that a fresh clone works before it is installed
sys.path.insert(0, str(REPOSITORY))

from shared.commands.bundle_parser import BundleArgument, bundle_parser  # noqa: E402
from shared.commands.overrides import parse_overrides  # noqa: E402
from shared.data.errors import DataError  # noqa: E402
from shared.data.generated import generate_once  # noqa: E402

EPILOG = r"""
Every key of bundles/<bundle>/configs/prepare.json can be overridden, nested ones with '#':
  --wavelength_nm 633   --segmentation#threshold_rad 0.3   --phantom#donors 6   --fractions '{"training": 0.8, ...}'
  --minimum_images 10   --reference_date 2021-01-01        --clinical#columns#age AGE

examples:
  python scripts/prepare.py leukocyte_qpi --phantom
  python scripts/prepare.py leukocyte_qpi --phantom --variant shortcut --seed 1 --output /tmp/shortcut
  python scripts/prepare.py leukocyte_qpi --source /data/recordings --donor_pattern '^(?P<donor>P[0-9]+)'
  python scripts/prepare.py leukocyte_qpi --source /data/crops --integer_phase_range '[0, 4]' --resize true
  python scripts/prepare.py leukocyte_qpi --source cells.npz --npz_keys#images x --npz_keys#donors null
  python scripts/prepare.py lymphocytosis_moe --source /data/smears --smear_pattern '^(?P<smear>S[0-9]+)_'
  python scripts/prepare.py lymphocytosis_moe --phantom --phantom#bag_size \
      '{"mean": 80, "std": 45, "low": 16, "high": 198}' --phantom#patients 121 --output /tmp/smears
  python scripts/prepare.py camelyon_attmil --source /data/CAMELYON16 --preflight
  torchrun --nproc_per_node=4 scripts/prepare.py camelyon_attmil --source /data/CAMELYON16 --weights encoder.pt
  python scripts/prepare.py chexpert_informer --source /data/CheXpert-v1.0-small --uncertain mix \
      --published '{"train": ["training", "validation"], "valid": ["test"]}'
  python scripts/prepare.py chexpert_informer --source /data/dicom --dicom#table findings.csv --unknown_view keep
"""


def parse_arguments(arguments: list[str] | None) -> tuple[argparse.Namespace, dict[str, Any]]:
    """Return the arguments and the overrides of config keys.

    Raises:
        DataError: if an argument is no option, key or value.
    """
    parser = bundle_parser(
        "prepare.py",
        BundleArgument(REPOSITORY, "prepare.json", elsewhere=False),
        "Turn source data, or generated phantoms, into the datalist of a bundle: checked, split by patient "
        "or donor, with a list of what was left out.",
        EPILOG,
    )
    origin = parser.add_mutually_exclusive_group(required=True)
    origin.add_argument("--source", type=Path, help="file or folder of the source data")
    origin.add_argument("--phantom", action="store_true", help="generate phantoms with known truth instead")
    parser.add_argument("--variant", help="variant of the phantoms: plain (default), shortcut, …")
    parser.add_argument("--seed", type=int, help="seed of the split and of the phantoms (default: see the config)")
    parser.add_argument("--output", type=Path, help="folder to write to (default: bundles/<bundle>/data)")
    parser.add_argument("--overwrite", action="store_true", help="begin anew, whatever was prepared there")
    parser.add_argument(
        "--preflight", action="store_true", help="only look at the source, and tell what cannot be used"
    )
    known, rest = parser.parse_known_args(arguments)
    if known.variant is not None and not known.phantom:
        parser.error("--variant is for --phantom only")
    if known.preflight and known.source is None:
        parser.error("--preflight is for --source only")
    overrides = {} if known.seed is None else {"seed": known.seed}
    if known.variant is not None:
        overrides["phantom#variant"] = known.variant
    return known, overrides | parse_overrides(rest)


def load_config(root: Path, overrides: dict[str, Any]) -> ConfigParser:
    """Return the ``prepare.json`` of a bundle's folder with overrides, ready to be resolved.

    Raises:
        DataError: if an override names no key of the config, or is a number that its key cannot be.
    """
    # takes seconds, which --help and a mistyped name need not wait for
    from monai.bundle import ConfigParser

    from shared.data.prepare_settings import unknown_key
    from shared.training.setting_ranges import check_ranges

    sys.path.insert(0, str(root))
    file = root / "configs" / "prepare.json"
    parser = ConfigParser(ConfigParser.load_config_file(str(file)))
    for key in overrides:
        if key not in parser:
            raise DataError(unknown_key(file, key, parser))
    parser.update(overrides)
    check_ranges(parser)
    return parser


@contextmanager
def unwrapped() -> Iterator[None]:
    """Turn what MONAI says of a config's component back into what the component said of a value.

    Raises:
        DataError: with that.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise DataError(str(error.__cause__ or error)) from error


def prepare(arguments: argparse.Namespace, overrides: dict[str, Any]) -> None:
    """Generate phantoms if asked for, then prepare, and print the summary.

    Raises:
        DataError: if the data cannot be prepared.
    """
    config = load_config(arguments.bundle, overrides)
    output = arguments.output or arguments.bundle / "data"
    source = arguments.source
    with unwrapped():
        preparation = config.get_parsed_content("prepare")
        if arguments.phantom:
            source = output / config.get("phantom_folder", "recordings")
            phantom: partial = config.get_parsed_content("phantom")
            # the files do not depend on the number of processes
            parameters = {key: value for key, value in phantom.keywords.items() if key != "workers"}
            generate_once(source, phantom, parameters, arguments.overwrite)
    print(preparation(source, output, overwrite=arguments.overwrite))


def preflight(arguments: argparse.Namespace, overrides: dict[str, Any]) -> None:
    """Look at the source, if the bundle can, and print what was found.

    Raises:
        DataError: if the bundle has nothing to look with, or the source cannot be used at all.
    """
    config = load_config(arguments.bundle, overrides)
    if "preflight" not in config:
        name = arguments.bundle.name
        raise DataError(f"{name}: its configs/prepare.json has no 'preflight'; prepare the data at once")
    with unwrapped():
        look = config.get_parsed_content("preflight")
    print(look(arguments.source))


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    try:
        known, overrides = parse_arguments(arguments)
        (preflight if known.preflight else prepare)(known, overrides)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
