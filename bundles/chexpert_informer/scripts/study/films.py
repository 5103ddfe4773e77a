"""The phantom films of a seed: drawn and prepared as users do it, and test films with and without the text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from scripts.phantom_parameters import PhantomParameters
from scripts.phantom_patients import PhantomStudy, sample_studies
from scripts.phantom_rendering import render_study
from scripts.study.settings import BUNDLE_ROOT, Phantoms
from shared.data.prepare_settings import read_prepare_settings

__all__ = ["draw_films", "draw_pairs"]


def draw_films(folder: Path, phantoms: Phantoms, seed: int, variant: str, image_size: int) -> None:
    """Draw the films of a seed, and prepare ``<folder>/datalist.json`` from them.

    Args:
        folder: to write to.
        phantoms: how many, and how they are drawn.
        seed: of everything.
        variant: ``plain`` or ``shortcut``.
        image_size: rows and columns of a film, pixels.
    """
    config = read_prepare_settings(
        BUNDLE_ROOT / "configs" / "prepare.json",
        {
            "bundle_root": str(BUNDLE_ROOT),
            "seed": seed,
            "workers": 1,
            "read_images": False,  # they were written a moment ago
            "phantom": {"variant": variant, "patients": phantoms.patients, "image_size": image_size},
        },
    )
    config["phantom#parameters"] = phantoms.parameters
    config.get_parsed_content("phantom")(folder / "chests", progress=False)
    config.get_parsed_content("prepare")(folder / "chests", folder, progress=False)


def draw_pairs(
    folder: Path, phantoms: Phantoms, seed: int, image_size: int, films: int
) -> list[tuple[dict[str, Any], dict[str, Any], bool]]:
    """Draw test films of a seed twice, without and with the text; nothing else differs.

    Args:
        folder: to write to.
        phantoms: as of :func:`draw_films`.
        seed: as of :func:`draw_films`.
        image_size: as of :func:`draw_films`.
        films: number of test films.

    Returns:
        Of each film the record without the text, that with it, and whether the variant ``shortcut`` has the text.
    """
    parameters = PhantomParameters.from_config(phantoms.parameters)
    studies = sample_studies(phantoms.patients, seed, "shortcut", parameters=parameters)
    tested = [study for study in studies if study.table == "test"][:films]

    def write(study: PhantomStudy, marker: bool) -> dict[str, Any]:
        film, truth = render_study(replace(study, marker=marker), seed, image_size, parameters)
        name = f"patient{study.patient:05d}_{'with' if marker else 'without'}"
        record: dict[str, Any] = {"id": name, "patient": f"patient{study.patient:05d}"}
        for key, image in (("image", film), ("truth", truth)):
            path = folder / key / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
            record[key] = str(path)
        return record | {"label": [int(present) for present in study.present]}

    return [(write(study, False), write(study, True), study.marker) for study in tested]
