"""Export a trained network with its calibration, as ONNX or TorchScript. Run with --help for the arguments."""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
# the repository's own folder comes first, so that a fresh clone works before it is installed
sys.path.insert(0, str(REPOSITORY))

from shared.commands.bundle_parser import BundleArgument, bundle_parser  # noqa: E402
from shared.commands.overrides import parse_overrides  # noqa: E402
from shared.commands.settings_file import read_settings, settings_of  # noqa: E402
from shared.data.errors import DataError  # noqa: E402

EPILOG = """
Other keys of the bundle's configs/inference.json and configs/export.json can be overridden; what changes the network
must be what it was trained with:
  --network_name AlexNet   --ckpt_dir DIR   --export_opset 20
or stand in a file, of which the keys count that say something of the network:
  --settings bundles/chexpert_informer/configs/demo.json

examples:
  python scripts/export.py leukocyte_qpi
  python scripts/export.py lymphocytosis_moe --format torchscript --output /tmp/model.ts
  python scripts/export.py chexpert_informer --settings bundles/chexpert_informer/configs/demo.json
  python scripts/export.py chexpert_informer --without-calibration --output /tmp/plain.onnx
"""


def main(arguments: list[str] | None = None) -> int:
    """Export; return the exit code."""
    parser = bundle_parser(
        "export.py",
        BundleArgument(REPOSITORY, "export.json"),
        "Export a bundle's trained network with its calibration. The file is written only if it computes "
        "the bundle's own logits.",
        EPILOG,
    )
    parser.add_argument("--format", choices=("onnx", "torchscript"), default="onnx", help="default: onnx")
    parser.add_argument("--output", type=Path, help="file to write (default: models/model.onnx or model.ts)")
    parser.add_argument("--settings", type=Path, help="JSON file of settings that the model was trained with")
    parser.add_argument("--without-calibration", action="store_true", help="export a network that is not calibrated")
    known, rest = parser.parse_known_args(arguments)
    try:
        overrides = parse_overrides(rest) | {"export_format": known.format}
        if known.settings is not None:
            overrides = settings_of(read_settings(known.settings), known.bundle, ("inference", "export")) | overrides
        if known.output is not None:
            overrides["export_file"] = str(known.output.resolve())
        if known.without_calibration:
            overrides["export_calibration"] = False
        # takes seconds, which --help and a mistyped argument need not wait for
        from shared.export.command import export_bundle

        export_bundle(known.bundle, overrides)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
