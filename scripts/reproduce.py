"""Reproduce a published result, or measure a bundle on real data."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[1]
# the repository's own folder comes first, so that a fresh clone works before it is installed
sys.path.insert(0, str(REPOSITORY))

from shared.data.errors import DataError  # noqa: E402


class Study(NamedTuple):
    """A study of a bundle.

    Attributes:
        bundle: its name; ``scripts.study.main.run_study`` of the bundle does the study.
        text: what it is about.
        generated: whether it draws all its data itself.
    """

    bundle: str
    text: str
    generated: bool = False


STUDIES = {
    "bag-explanations": Study(
        "camelyon_attmil",
        "every explanation of a bag on digits, colon nuclei and phantom slides (mnist, colon_crchisto in the folder)",
    ),
    "camelyon_attmil": Study(
        "camelyon_attmil",
        "sparse evidence: phantom slides by the size of their metastases, and planted bags (all generated)",
        generated=True,
    ),
    "chexpert_informer": Study(
        "chexpert_informer",
        "all alarms by cross-validation on chest X-rays (NIH layout, say) and on generated phantoms",
    ),
    "colon": Study(
        "camelyon_attmil", "bags of colon nuclei (CRCHistoPhenotypes): is one of them epithelial? Ilse et al., table 3"
    ),
    "leukocyte_qpi": Study(
        "leukocyte_qpi", "LeNet-5 and AlexNet on stained white cells (wbc_crops.npz), a stand-in for phase images"
    ),
    "lymphocytosis_moe": Study(
        "lymphocytosis_moe",
        "all models of the paper by cross-validation on patients (a table and a folder of cells each)",
    ),
    "mil-classic": Study(
        "camelyon_attmil", "attention and other pooling on MUSK1, Fox and Elephant: Ilse et al., table 1"
    ),
    "mnist-bags": Study("camelyon_attmil", "bags of digits: is one of them a nine? Area by number of training bags"),
}


def main() -> int:
    """Parse the command line and run the study."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="studies:\n" + "\n".join(f"  {name}: {study.text}" for name, study in STUDIES.items()),
    )
    parser.add_argument("study", choices=STUDIES, help="name of the study")
    parser.add_argument("--data", type=Path, help="folder with the study's data, unless it generates them")
    parser.add_argument("--output", type=Path, help="where results and table go (default: studies/<study>)")
    parser.add_argument("--seeds", type=int, help="number of seeds (default: the study's own)")
    parser.add_argument("--workers", type=int, default=2, help="processes, each with one thread (default: 2)")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--quick", action="store_true", help="a smoke test of minutes, whose numbers mean nothing")
    mode.add_argument("--full", action="store_true", help="more folds, seeds and epochs, for a large machine")
    parser.add_argument("--table-only", action="store_true", help="only write the table of the runs that are done")
    arguments = parser.parse_args()
    if arguments.data is None and not STUDIES[arguments.study].generated:
        parser.error(f"the following arguments are required for {arguments.study}: --data")
    if arguments.seeds is not None and arguments.seeds < 1:
        parser.error(f"--seeds must be at least 1, found {arguments.seeds}")

    # one thread for each worker; must be set before numpy and torch are loaded
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    bundle = STUDIES[arguments.study].bundle
    sys.path.insert(0, str(REPOSITORY / "bundles" / bundle))
    study = importlib.import_module("scripts.study.main")
    chosen = "quick" if arguments.quick else "full" if arguments.full else "default"
    folder = arguments.study if chosen == "default" else f"{arguments.study}_{chosen}"
    output = (arguments.output or REPOSITORY / "studies" / folder).resolve()
    outcome = study.run_study(
        data=output if arguments.data is None else arguments.data.resolve(),
        output=output,
        mode=chosen,
        seeds=arguments.seeds,
        workers=arguments.workers,
        table_only=arguments.table_only,
        # a bundle with several studies is told which
        **({} if arguments.study == bundle else {"study": arguments.study}),
    )
    for path in outcome.written:
        print(path)
    for key, text in outcome.failures.items():
        print(f"failed: {key}: {text.strip().splitlines()[-1]}")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DataError as error:
        sys.exit(f"Error: {error}")
