"""From generated data to an explained report: the stations of bundles, each unless its output is newer than its input.

Called by demo.sh, which makes the environment and says what may be given.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
# the repository's own folder comes first, so that a fresh clone works before it is installed
sys.path.insert(0, str(REPOSITORY))

from shared.commands.warm_process import python_commands  # noqa: E402

#: bundles that train in seconds: a second training shows how far its explanations depend on the first
TWICE = ("camelyon_attmil",)
SEED = 1
SETTINGS = {
    # what a run of a few minutes writes to the terminal is progress, not advice for developers
    "PYTHONWARNINGS": "ignore",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # threads that wait for each other sleep: with other work on the machine, spinning makes a small network ten times
    # slower
    "OMP_WAIT_POLICY": "PASSIVE",
}


class Demonstration:
    """The stations of one bundle.

    Args:
        name: of the bundle.
        python: runs ``python ARGUMENTS`` in the repository.
    """

    def __init__(self, name: str, python: Callable[[Sequence[str]], None]) -> None:
        self.name = name
        self.python = python
        self.root = Path("bundles", name)
        self.settings = self.root / "configs" / "demo.json"
        self.models, self.results = self.root / "models", self.root / "eval"
        self.second = REPOSITORY / self.models / f"seed_{SEED}"

    @property
    def report(self) -> Path:
        """The page that the stations end in."""
        return REPOSITORY / self.results / "report.html"

    def run(self) -> None:
        """Prepare, train, calibrate, evaluate, explain, and repeat where the bundle has it.

        Raises:
            subprocess.CalledProcessError: if a station fails.
        """
        if self.settings.is_file():
            print(f"== {self.name}: with {self.settings}, smaller than the bundle's own settings", flush=True)
        model, calibration = self.models / "model.pt", self.models / "calibration.json"
        metrics = self.results / "metrics.json"
        # these two know by themselves what is done
        self._run("prepare", ["scripts/prepare.py", self.name, "--phantom"])
        self._run("training", self._station("training", "train"))
        other = []
        if self.name in TWICE:
            again = ["--seed", str(SEED), "--ckpt_dir", str(self.second)]
            training = self._station("training", "train")
            self._run_unless_newer("training from another seed", self.second / "model.pt", model, [*training, *again])
            other = ["--other_model_files", f"['{self.second / 'model.pt'}']"]
        calibrating = self._station("calibrating", "train", "calibrate")
        self._run_unless_newer("calibrating", calibration, model, calibrating)
        evaluating = self._station("evaluating", "train", "evaluate")
        self._run_unless_newer("evaluating", metrics, calibration, evaluating)
        explaining = self._station("explaining", "inference", "explain")
        self._run_unless_newer(
            "explaining", self.results / "explanations" / "index.json", metrics, [*explaining, *other]
        )
        if (self.root / "configs" / "repeatability.json").is_file():
            repeating = self._station("repeating", "inference", "repeatability")
            self._run_unless_newer("repeating", self.results / "repeatability.json", calibration, repeating)

    def _station(self, name: str, *configs: str) -> list[str]:
        """Return the arguments of Python for a station, with the settings for a demonstration if there are any."""
        files = [str(self.root / "configs" / f"{config}.json") for config in configs]
        if self.settings.is_file():
            files.append(str(self.settings))
        return ["-m", "monai.bundle", "run", name, "--config_file", str(files)]

    def _run_unless_newer(self, name: str, output: Path, source: Path, arguments: list[str]) -> None:
        if output.exists() and (not source.exists() or output.stat().st_mtime_ns > source.stat().st_mtime_ns):
            print(f"== {self.name}: {name}: up to date ({output})", flush=True)
            return
        self._run(name, arguments)
        if output.exists():
            output.touch()

    def _run(self, name: str, arguments: list[str]) -> None:
        begin = time.monotonic()
        print(f"== {self.name}: {name}", flush=True)
        self.python(arguments)
        print(f"== {self.name}: {name} took {time.monotonic() - begin:.0f} s", flush=True)


def main(bundles: Sequence[str]) -> int:
    """Run the stations of bundles, and print where their reports are."""
    os.environ.update(SETTINGS)
    os.chdir(REPOSITORY)
    reports = []
    try:
        with python_commands(REPOSITORY) as python:
            for bundle in bundles:
                demonstration = Demonstration(bundle, python)
                demonstration.run()
                reports.append(demonstration.report)
    except subprocess.CalledProcessError as error:
        print(f"The command ended with {error.returncode}: python {' '.join(error.cmd[1:])}", file=sys.stderr)
        return 1
    except RuntimeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on where this one stopped.", file=sys.stderr)
        return 130
    print("\nReports:", *(f"  {report}" for report in reports), sep="\n")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = sorted(path.parents[1].name for path in REPOSITORY.glob("bundles/*/configs/train.json"))
    parser.add_argument("bundles", nargs="+", choices=names, metavar="BUNDLE", help=f"of: {', '.join(names)}")
    sys.exit(main(parser.parse_args().bundles))
