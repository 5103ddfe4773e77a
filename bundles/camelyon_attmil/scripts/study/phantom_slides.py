"""Phantom slides for the studies: drawn and encoded once, by the bundle's own way from slides to features."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from monai.bundle import ConfigParser
from numpy.typing import NDArray

from scripts.feature_layouts import read_features
from scripts.slide_records import load_slides
from scripts.study.bags import Bags
from shared.data.errors import DataError
from shared.data.generated import generate_once
from shared.study.code_hash import code_sha256

__all__ = ["DRAWING_CODE", "KINDS", "PhantomSlides", "drawing_name", "phantom_folder", "read_phantom_slides"]

#: of the largest metastasis of a slide, the least evidence last
KINDS = ("macro", "micro", "itc")
NORMAL = "none"
SECTION = "training"
FOLDER = "phantom_slides"
CONFIG = Path(__file__).resolve().parents[2] / "configs" / "prepare.json"
#: keys of ``prepare.json`` that decide the same; the others are about other data, labels and sections
DRAWING_KEYS = (
    *("mpp", "stride", "tissue_share", "weights", "batch_size"),
    *("tissue", "tiling", "network", "encoder", "extraction", "phantom"),
)
#: what decides what is on the slides, which tiles are taken, and what their features and their truth are
DRAWING_CODE = (
    "scripts.annotations",
    "scripts.periodic_texture",
    "scripts.phantom",
    "scripts.phantom_anatomy",
    "scripts.phantom_grid",
    "scripts.phantom_parameters",
    "scripts.phantom_rendering",
    "scripts.phantom_textures",
    "scripts.pixel_storage",
    "scripts.pyramid_tiff",
    "scripts.slide",
    "scripts.tile_encoder",
    "scripts.tile_truth",
    "scripts.tiling",
    "scripts.tissue",
    "shared.phantoms.parameters",
    "shared.phantoms.patches",
    "shared.phantoms.shapes",
    "shared.phantoms.textures",
)


@dataclass(frozen=True)
class PhantomSlides:
    """The slides as bags of tiles.

    Attributes:
        bags: features of the tiles, whether they are tumour, and their corners in pixels of level 0.
        kinds: one of :data:`KINDS`, or :data:`NORMAL`, ``(B,)``.
        records: of the datalist.
    """

    bags: Bags
    kinds: NDArray[np.str_]
    records: tuple[Mapping[str, Any], ...]


def phantom_folder(
    output: Path, drawing: Mapping[str, Any], workers: int, others: tuple[str, ...] = (), make: bool = True
) -> Path:
    """Return the folder of the slides and their features; they are made if no study has made the same ones.

    The same means: by the same arguments, settings (:data:`DRAWING_KEYS`) and code (:data:`DRAWING_CODE`). What runs
    made of features of older code is not reused either, for their recipes hold the hash of the feature files.

    Args:
        output: folder of the study.
        drawing: ``normal`` and ``tumor``, numbers of slides; ``size``, width and height in pixels; ``tile_size``, side
            of a tile in pixels; ``seed``; and, if need be, ``kinds`` of metastases, each equally often (all of
            :data:`KINDS`), ``parameters`` of the phantoms, and ``encoder_seed``, of the encoder's random weights where
            that is not ``seed``. The rest is as in ``prepare.json``.
        workers: processes.
        others: folders beside that of the study in which the same slides may be.
        make: whether to make them.

    Raises:
        DataError: if they are not there and not to be made.
    """
    name = drawing_name(drawing)
    places = [output, *(output.parent / other for other in others)]
    folders = [place / FOLDER / name for place in places]
    made = next((folder for folder in folders if (folder / "datalist.json").is_file()), None)
    if made is not None:
        return made
    if not make:
        raise DataError(
            f"{folders[0]}: no phantom slides of the present code and settings there; start the study without "
            "--table-only"
        )
    config = ConfigParser(ConfigParser.load_config_file(str(CONFIG)))
    config.update(
        {
            "phantom#slides": {"normal": drawing["normal"], "tumor": drawing["tumor"], "test": 0},
            "phantom#kinds": list(drawing.get("kinds", KINDS)),
            "phantom#parameters": drawing.get("parameters"),
            "phantom#size": drawing["size"],
            "tile_size": drawing["tile_size"],
            "seed": drawing["seed"],
            "encoder#seed": drawing.get("encoder_seed", drawing["seed"]),
            "workers": max(workers, 1),
            "readers": workers,
            "fractions": {SECTION: 1.0},
        }
    )
    slides = folders[0] / "slides"
    phantom = config.get_parsed_content("phantom")
    parameters = {key: value for key, value in phantom.keywords.items() if key != "workers"}
    generate_once(slides, phantom, parameters)
    config.get_parsed_content("prepare")(slides, folders[0])
    return folders[0]


def drawing_name(drawing: Mapping[str, Any]) -> str:
    """Return the name of the folder of slides: a hash of all that decides what is in it, the code included.

    Args:
        drawing: see :func:`phantom_folder`.
    """
    config = ConfigParser.load_config_file(str(CONFIG))
    whole = {
        "drawing": dict(drawing),
        "config": {key: config[key] for key in DRAWING_KEYS},
        "code": code_sha256(DRAWING_CODE),
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]


def read_phantom_slides(folder: Path, tumour_share: float) -> PhantomSlides:
    """Read features and truth.

    Args:
        folder: of :func:`phantom_folder`.
        tumour_share: a tile is tumour if more than this share of it is.

    Raises:
        DataError: if a feature file does not say what its tiles are.
    """
    records = load_slides(folder / "datalist.json", SECTION)
    table = pd.read_csv(folder / "slides" / "phantom.csv", keep_default_na=False)
    kinds = {Path(place).stem: kind for place, kind in zip(table["slide"], table["kind"], strict=True)}
    features, truth, places, lengths = [], [], [], []
    for record in records:
        bag = read_features(record["features"])
        if bag.tile_label is None or np.isnan(bag.tile_label).any():
            raise DataError(f"{record['features']}: does not say how much of each tile is tumour; prepare it anew")
        features.append(torch.from_numpy(bag.features.astype(np.float32)))
        truth.append(torch.from_numpy(bag.tile_label > tumour_share))
        places.append(torch.from_numpy(bag.coords.astype(np.float32)))
        lengths.append(len(bag.features))
    bags = Bags(
        torch.cat(features),
        torch.tensor(lengths),
        torch.tensor([int(record["label"]) for record in records]),
        tuple(str(record["id"]) for record in records),
        torch.cat(truth),
        torch.cat(places),
    )
    return PhantomSlides(bags, np.array([kinds[name] for name in bags.ids]), tuple(records))
