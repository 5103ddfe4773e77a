"""Layers beside explanations that have none, as explaining writes them: image, maps of two classes, outline, cases."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from shared.saliency.layers import write_map_layer, write_outline, write_plain

__all__ = ["SIDE", "add_layers"]

SIDE = 50


def add_layers(eval_dir: Path, other: str = "monocyte", size: int = SIDE) -> Path:
    """Add a view with layers to every sample of the index, for the class explained and an other one.

    Args:
        eval_dir: with explanations; the first sample gets the other class, an outline and similar cases.
        other: the other class.
        size: side of the images, pixels.

    Returns:
        The folder.
    """
    rng = np.random.default_rng(11)
    index = eval_dir / "explanations" / "index.json"
    content = json.loads(index.read_text())
    for i, sample in enumerate(content["samples"]):
        view = {"image_png": f"explanations/plain_{i}.png", "outline_png": None, "size_px": [size, size]}
        write_plain(eval_dir / view["image_png"], rng.random((size, size)))
        sample["view"] = view | {"boxes": [], "pixel_size_um": 0.25}
        for method, entry in sample["methods"].items():
            entry |= _layer(eval_dir, f"{i}_{method}", rng, size)
        if i == 0:
            mask = np.zeros((size, size), dtype=bool)
            mask[10:20, 10:30] = True
            sample["view"]["outline_png"] = "explanations/outline.png"
            sample["view"]["boxes"] = [[5.0, 6.0, 20.0, 10.0]]
            write_outline(eval_dir / "explanations" / "outline.png", mask)
            first = next(iter(sample["methods"]))
            sample["methods"][first]["classes"] = {other: _layer(eval_dir, f"{i}_{first}_other", rng, size)}
            sample["similar"] = [
                {"id": "training <1>", "label": "monocyte", "similarity": 0.87, "image_png": view["image_png"]}
            ]
    index.write_text(json.dumps(content))
    return eval_dir


def _layer(eval_dir: Path, name: str, rng: np.random.Generator, size: int) -> dict:
    path = f"explanations/{name}_layer.png"
    return {"layer_png": path, "limit": write_map_layer(eval_dir / path, rng.normal(size=(size, size)))}
