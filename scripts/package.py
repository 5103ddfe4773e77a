"""Package a trained bundle as one zip in the form of MONAI's Model Zoo. Run with --help for the arguments."""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
# the repository's own folder comes first, so that a fresh clone works before it is installed
sys.path.insert(0, str(REPOSITORY))

from shared.commands.bundle_parser import BundleArgument, bundle_parser  # noqa: E402
from shared.commands.overrides import parse_overrides  # noqa: E402
from shared.commands.settings_file import read_settings  # noqa: E402
from shared.data.errors import DataError  # noqa: E402

EPILOG = """
Settings that a model was trained with other than by default become the package's own, as --key value:
  --network_name AlexNet   --init_features 16

examples:
  python scripts/package.py leukocyte_qpi
  python scripts/package.py chexpert_informer --settings bundles/chexpert_informer/configs/demo.json
  python scripts/package.py camelyon_attmil --without-weights --url https://example.org/camelyon_attmil --output /tmp

On the other machine (from the folder that the zip was unpacked in; docs/README.md describes the data):
  pip install monai_explainable_bundles-0.1.0-py3-none-any.whl
  python -m monai.bundle run inferring --config_file leukocyte_qpi/configs/inference.json --dataset_dir DATA
"""


def main(arguments: list[str] | None = None) -> int:
    """Package; return the exit code."""
    parser = bundle_parser(
        "package.py",
        BundleArgument(REPOSITORY, "inference.json"),
        "Package a trained and calibrated bundle: configs, docs, licence, code and models in one zip, with "
        "the hashes of the weights in large_files.yml. It is written only if its own configs load its weights.",
        EPILOG,
    )
    parser.add_argument("--output", type=Path, default=Path(), help="folder for the zip (default: this one)")
    parser.add_argument("--models", type=Path, help="folder of the trained model (default: the bundle's models)")
    parser.add_argument("--settings", type=Path, help="JSON file of settings that the model was trained with")
    parser.add_argument("--url", help="where the package's files can be fetched, for large_files.yml")
    parser.add_argument("--without-weights", action="store_true", help="only list the weights, with their URLs")
    known, rest = parser.parse_known_args(arguments)
    try:
        settings = parse_overrides(rest)
        if known.settings is not None:
            settings = read_settings(known.settings) | settings
        # takes seconds, which --help and a mistyped argument need not wait for
        from shared.export.package_command import package_bundle

        print(package_bundle(known.bundle, known.output, known.models, settings, known.url, not known.without_weights))
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
