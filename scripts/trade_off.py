"""Train several models of a bundle, explain each, and set their results against their explanations.

    trade_off.py BUNDLE             the models of bundles/BUNDLE/configs/trade_off.json, on the bundle's data

The models are trained, calibrated, evaluated and explained by the bundle's own commands, with its settings for a
demonstration where it has any, in studies/trade_off_BUNDLE/MODEL. What is there already is not made again.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
# the repository's own folder comes first, so that a fresh clone works before it is installed
sys.path.insert(0, str(REPOSITORY))

from shared.commands.bundle_parser import BundleArgument, bundle_parser  # noqa: E402
from shared.commands.warm_process import python_commands  # noqa: E402
from shared.data.errors import DataError  # noqa: E402
from shared.data.files import atomic_path, read_json  # noqa: E402
from shared.report.runs import Run, read_run  # noqa: E402
from shared.report.trade_off import TradeOff, trade_off_of_runs  # noqa: E402
from shared.report.trade_off_text import trade_off_html, trade_off_markdown  # noqa: E402

#: stations of a network in their order: configs, and the file that each leaves behind
STATIONS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "training": (("train",), "models/model.pt"),
    "calibrating": (("train", "calibrate"), "models/calibration.json"),
    "evaluating": (("train", "evaluate"), "eval/metrics.json"),
    "explaining": (("inference", "explain"), "eval/interpretability.json"),
}
SETTINGS = "trade_off.json"
NO_METHOD = "not measured: no method of the bundle explains this model"


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, make the models and write the picture."""
    parser = bundle_parser("trade_off.py", BundleArgument(REPOSITORY, SETTINGS, elsewhere=False), __doc__)
    parser.add_argument("--data", type=Path, help="prepared data (default: the bundle's, as demo.sh prepares them)")
    parser.add_argument("--output", type=Path, help="where all goes (default: studies/trade_off_BUNDLE)")
    options = parser.parse_args(arguments)
    root = options.bundle
    output = (options.output or REPOSITORY / "studies" / f"trade_off_{root.name}").resolve()
    try:
        with python_commands(REPOSITORY) as python:
            written = make(root, (options.data or root / "data").resolve(), output, python)
    except (DataError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"error: the command ended with {error.returncode}: {' '.join(error.cmd)}", file=sys.stderr)
        return 1
    print(*written, sep="\n")
    return 0


def make(root: Path, data: Path, output: Path, python: Callable[[Sequence[str]], None]) -> list[Path]:
    """Make every model of a bundle that is not there yet, and write ``trade_off.html`` and ``trade_off.md``.

    Args:
        root: the bundle.
        data: folder of its ``datalist.json``.
        output: folder of the models.
        python: runs ``python ARGUMENTS``.

    Raises:
        DataError: if there are no settings or no data.
        subprocess.CalledProcessError: if a station fails.
    """
    settings = read_settings(root / "configs" / SETTINGS)
    if not (data / "datalist.json").is_file():
        raise DataError(f"{data}: no datalist.json; run python scripts/prepare.py {root.name} --phantom first")
    runs = []
    for name, overrides in settings["models"].items():
        folder = output / folder_name(name)
        left_out = ("explaining",) if name in settings["not_explained"] else ()
        for station, (configs, product) in STATIONS.items():
            if station not in left_out and not (folder / product).is_file():
                print(f"== {root.name}: {name}: {station}", flush=True)
                python(command(root, station, configs, data, folder, overrides))
        runs.append(Run(name, read_run(folder / "eval").card, folder / "eval"))
    for name, config in settings["fitted"].items():
        folder = output / folder_name(name)
        if not (folder / "eval" / "interpretability.json").is_file():
            print(f"== {root.name}: {name}: fitting", flush=True)
            python(command(root, "fitting", ("train", config), data, folder, {}))
        runs.append(Run(name, read_run(folder / "eval").card, folder / "eval"))
    parts = [_said(part, settings["not_explained"]) for part in trade_off_of_runs(runs, named=True)]
    written = [output / "trade_off.html", output / "trade_off.md"]
    for path, text in zip(written, (trade_off_html(parts), trade_off_markdown(parts)), strict=True):
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return written


def _said(part: TradeOff, not_explained: Sequence[str]) -> TradeOff:
    """Return the models with the reason why some have no explanations, which no command would make."""
    models = (replace(m, missing=NO_METHOD) if m.name in not_explained else m for m in part.models)
    return replace(part, models=tuple(models))


def command(
    root: Path, station: str, configs: Sequence[str], data: Path, folder: Path, overrides: Mapping[str, Any]
) -> list[str]:
    """Return the arguments of Python for a station of one model."""
    demo = ("demo",) if (root / "configs" / "demo.json").is_file() else ()
    files = [str(root / "configs" / f"{name}.json") for name in (*configs, *demo)]
    places = {"dataset_dir": data, "ckpt_dir": folder / "models", "output_dir": folder / "eval"}
    given = [part for key, value in {**places, **overrides}.items() for part in (f"--{key}", str(value))]
    return ["-m", "monai.bundle", "run", station, "--config_file", str(files), *given]


def folder_name(model: str) -> str:
    """Return the folder of a model.

    Example:
        >>> folder_name("mixture of experts, half the width")
        'mixture_of_experts_half_the_width'
    """
    return re.sub(r"[^A-Za-z0-9-]+", "_", model).strip("_")


def read_settings(path: Path) -> dict[str, Any]:
    """Read the models of a bundle.

    Args:
        path: JSON with ``models`` (name to what differs from the bundle's settings), ``not_explained`` (names of those
            that no method of the bundle explains) and ``fitted`` (name to the config whose ``fitting`` writes results
            and explanations of a model without a network).

    Raises:
        DataError: if the file is missing or malformed.
    """
    settings = read_json(path)
    expected = {"models": dict, "not_explained": list, "fitted": dict}
    if not isinstance(settings, dict) or any(not isinstance(settings.get(key), kind) for key, kind in expected.items()):
        raise DataError(f"{path}: expected an object with models, not_explained and fitted")
    if unknown := sorted(set(settings["not_explained"]) - set(settings["models"])):
        raise DataError(f"{path}: not_explained: found {unknown[0]!r}, expected one of the models")
    return settings


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.exit(main())
