"""Whether explanations may be written to a folder, or would stand there as if of an evaluation that they are not of."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from shared.data.errors import DataError
from shared.evaluation.predictions import read_predictions

__all__ = ["check_output_folder"]


def check_output_folder(output_dir: str | os.PathLike[str], ids: Iterable[str]) -> None:
    """Refuse the folder of an evaluation to explanations of samples none of which was evaluated there.

    They would replace the explanations of the evaluated samples, and the report would show them beside results that
    have nothing to do with them. A config calls it before it computes anything::

        "$output_folder.check_output_folder(@output_dir, [record['id'] for record in @records])"

    Args:
        output_dir: where explanations are to be written; need not exist.
        ids: of the samples to be explained.

    Raises:
        DataError: if the folder holds ``metrics.json`` and ``predictions.csv``, and none of the samples is in the
            latter, or that cannot be read.
    """
    folder = Path(output_dir)
    if not (folder / "metrics.json").is_file() or not (folder / "predictions.csv").is_file():
        return
    evaluated = set(read_predictions(folder / "predictions.csv")["id"])
    asked = {str(identity) for identity in ids}
    if asked and not asked & evaluated:
        raise DataError(
            f"{folder}: holds the evaluation of {len(evaluated)} samples, and none of the {len(asked)} samples found "
            "to be explained is among them. Their explanations would replace those of the evaluated samples; write "
            "them to another folder, --output_dir ANOTHER"
        )
