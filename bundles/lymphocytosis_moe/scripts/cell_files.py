"""The files of an explained patient: a table of all cells, and pictures and maps of those that count most."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from skimage.segmentation import find_boundaries

from shared.data.file_names import safe_name
from shared.data.files import atomic_path
from shared.saliency.colours import blend
from shared.saliency.explanation_files import FOLDER, write_index
from shared.saliency.layers import write_map_layer, write_outline
from shared.saliency.nifti import write_map

__all__ = ["CellFiles"]

OUTLINE = (240, 228, 66)  # yellow of the colour-blind-safe palette of Okabe and Ito


class CellFiles:
    """Writes below ``<output_dir>/explanations``, one folder for each patient.

    Args:
        output_dir: the paths in the index are relative to it.
    """

    def __init__(self, output_dir: str | os.PathLike[str]) -> None:
        self.output_dir = Path(output_dir)

    def write_table(self, patient: str, table: pd.DataFrame) -> str:
        """Write the values of all cells, ``instances.csv``; return its path in the index."""
        name = f"{FOLDER}/{safe_name(patient)}/instances.csv"
        with atomic_path(self.output_dir / name) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")
        return name

    def write_cell(
        self,
        patient: str,
        rank: int,
        cell: str,
        image: NDArray[np.uint8],
        maps: Mapping[str, NDArray[np.floating]],
        mask: NDArray[np.bool_] | None,
    ) -> dict[str, Any]:
        """Write one cell: its picture, and each map over it and as NIfTI.

        Args:
            patient: whose cell it is.
            rank: of its Shapley value, which begins the files' names.
            cell: name of the image.
            image: RGB, ``(H, W, 3)``.
            maps: signed maps ``(H, W)`` by method.
            mask: where the cause of the class is known to be, ``(H, W)``; outlined in the overlays.

        Returns:
            ``image_png`` and, where the cause is known, ``outline_png``; by method ``overlay_png``, ``layer_png`` (the
            map alone, with transparent colours) and ``nifti``: paths in the index.
        """
        stem = f"{FOLDER}/{safe_name(patient)}/{rank:04d}_{safe_name(Path(cell).stem)}"
        self._save(f"{stem}.png", image)
        grey = image.mean(axis=2)
        methods = {}
        for method, values in maps.items():
            overlay = np.rint(255 * blend(grey, values)).astype(np.uint8)
            if mask is not None:
                overlay[find_boundaries(mask, mode="outer")] = OUTLINE
            self._save(f"{stem}_{method}.png", overlay)
            write_map_layer(self.output_dir / f"{stem}_{method}_layer.png", values)
            write_map(self.output_dir / f"{stem}_{method}.nii.gz", values, description=f"{method}: {cell}")
            methods[method] = {
                key: f"{stem}_{method}{ending}"
                for key, ending in (("overlay_png", ".png"), ("layer_png", "_layer.png"), ("nifti", ".nii.gz"))
            }
        outline = None
        if mask is not None and mask.any():
            outline = f"{stem}_outline.png"
            write_outline(self.output_dir / outline, mask)
        return {"image_png": f"{stem}.png", "outline_png": outline, "methods": methods}

    def write_similar(self, patient: str, rank: int, picture: NDArray[np.uint8]) -> str:
        """Write some cells of a training patient who is like an explained one; return the path in the index.

        Args:
            patient: who is explained.
            rank: of the training patient among those who are alike, from 0 on.
            picture: of the cells, ``(H, W, 3)``.
        """
        name = f"{FOLDER}/{safe_name(patient)}/similar_{rank + 1}.png"
        self._save(name, picture)
        return name

    def write_experts(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write what each expert says of every patient, ``experts.csv``."""
        with atomic_path(self.output_dir / FOLDER / "experts.csv") as temporary:
            pd.DataFrame(rows).to_csv(temporary, index=False, lineterminator="\n")

    def write_index(self, content: Mapping[str, Any]) -> Path:
        """Write ``index.json``, last of all: what it lists is there."""
        return write_index(self.output_dir, content)

    def _save(self, name: str, picture: NDArray[np.uint8]) -> None:
        with atomic_path(self.output_dir / name) as temporary:
            Image.fromarray(picture).save(temporary, format="PNG")
