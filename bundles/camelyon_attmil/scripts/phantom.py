"""Phantom slides: generated sections of lymph nodes with metastases of known outline, in the layout of CAMELYON16.

``training/normal``, ``training/tumor``, ``training/lesion_annotations``, ``testing/images``,
``testing/lesion_annotations`` and ``testing/reference.csv`` are there as in the real data set, so that the whole way
from there to a prediction runs on them; only ``phantom.csv`` is extra. Everything follows from the seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from scripts.annotations import LESION_KINDS, Annotation, Outline, write_asap
from scripts.camelyon16_layout import PHANTOM_TABLE
from scripts.phantom_anatomy import Anatomy, draw_anatomy
from scripts.phantom_parameters import PhantomParameters
from scripts.phantom_rendering import SlideRenderer
from scripts.pyramid_tiff import write_pyramid
from shared.data.files import atomic_path
from shared.data.processes import in_processes

__all__ = ["PhantomSlide", "phantom_annotation", "phantom_renderer", "plan_slides", "write_slides"]

VARIANTS = ("plain", "shortcut")
#: share of a data set's slides that shows metastases in the test section, as 49 of 129 of CAMELYON16
TEST_TUMOUR = 0.4


@dataclass(frozen=True)
class PhantomSlide:
    """A slide that is to be drawn.

    Args:
        identity: its name.
        place: its file, relative to the data set.
        kind: of its metastases, None for a normal slide.
        pen: whether it bears pen marks.
        number: by which its randomness is told apart.
    """

    identity: str
    place: str
    kind: str | None
    pen: bool
    number: int

    @property
    def annotation(self) -> str | None:
        """The annotation's file, relative to the data set; None for a normal slide."""
        part = self.place.split("/")[0]
        return None if self.kind is None else f"{part}/lesion_annotations/{self.identity}.xml"


def write_slides(
    folder: str | Path,
    variant: str = "plain",
    seed: int = 0,
    slides: Mapping[str, int] | None = None,
    kinds: Sequence[str] = ("macro", "micro", "itc"),
    size: Sequence[int] = (5120, 4608),
    mpp: float = 0.5,
    quality: int = 85,
    parameters: PhantomParameters | Mapping[str, Any] | None = None,
    workers: int = 1,
    progress: bool = True,
) -> Path:
    """Write phantom slides.

    Args:
        folder: where to write; made if missing. Slides that are there already are kept.
        variant: ``plain``, or ``shortcut``, in which pen marks tell tumour from normal slides.
        seed: of everything.
        slides: number of slides, ``normal``, ``tumor`` (both training) and ``test``; 16, 16 and 12 if None.
        kinds: of metastases, each equally often.
        size: width and height of a slide, pixels.
        mpp: µm per pixel.
        quality: of the JPEG.
        parameters: of the phantoms, or a nested mapping of the values to change.
        workers: number of processes; the files do not depend on it.
        progress: whether to show a progress bar.

    Returns:
        The folder.

    Raises:
        ValueError: if the variant, a kind or a parameter's name is unknown, or the slides are too small for a kind.
    """
    if not isinstance(parameters, PhantomParameters):
        parameters = PhantomParameters.from_config(parameters)
    root = Path(folder)
    planned = plan_slides(slides or {"normal": 16, "tumor": 16, "test": 12}, seed, variant, kinds, parameters)
    write = partial(
        _write_slide,
        root=root,
        seed=seed,
        size=(int(size[0]), int(size[1])),
        mpp=mpp,
        quality=quality,
        parameters=parameters,
    )
    rows: dict[int, dict[str, Any]] = {}
    with tqdm(total=len(planned), desc="drawing", unit="slide", disable=not progress) as bar:
        for index, row in in_processes(write, planned, workers):
            rows[index] = row
            bar.update()
    _write_table(root / PHANTOM_TABLE, pd.DataFrame([rows[index] for index in range(len(planned))]))
    test = [slide for slide in planned if slide.place.startswith("testing/")]
    # as the real one: no header; name, class, type of carcinoma, kind of metastasis
    reference = [
        (
            slide.identity,
            "Normal" if slide.kind is None else "Tumor",
            "None" if slide.kind is None else "IDC",
            _kind(slide),
        )
        for slide in test
    ]
    _write_table(root / "testing" / "reference.csv", pd.DataFrame(reference), header=False)
    return root


def plan_slides(
    slides: Mapping[str, int],
    seed: int,
    variant: str,
    kinds: Sequence[str],
    parameters: PhantomParameters,
) -> list[PhantomSlide]:
    """Return the slides of a data set; see :func:`write_slides`.

    Raises:
        ValueError: if a part, the variant or a kind is unknown.
    """
    for name, found, known in (
        ("slides", set(slides), {"normal", "tumor", "test"}),
        ("variant", {variant}, set(VARIANTS)),
        ("kinds", set(kinds), set(LESION_KINDS)),
    ):
        if unknown := sorted(found - known):
            raise ValueError(f"{name}: found '{unknown[0]}', expected {' or '.join(sorted(known))}")
    if not kinds:
        raise ValueError("kinds: found none, expected at least one of macro, micro and itc")
    rng = np.random.default_rng([seed, 0])
    tested = round(TEST_TUMOUR * slides.get("test", 0))
    of_test: list[str | None] = [*(kinds[i % len(kinds)] for i in range(tested))]
    of_test += [None] * (slides.get("test", 0) - tested)
    order = rng.permutation(len(of_test))
    wanted: list[tuple[str, str, str | None]] = [
        *(("normal", f"training/normal/normal_{i + 1:03d}", None) for i in range(slides.get("normal", 0))),
        *(("tumor", f"training/tumor/tumor_{i + 1:03d}", kinds[i % len(kinds)]) for i in range(slides.get("tumor", 0))),
        *(("test", f"testing/images/test_{i + 1:03d}", of_test[order[i]]) for i in range(len(of_test))),
    ]
    shortcut, usual = parameters.shortcut, parameters.artefacts.pen
    planned = []
    for number, (_, place, kind) in enumerate(wanted):
        tied = shortcut.without_tumour if kind is None else shortcut.with_tumour
        pen = rng.uniform() < (tied if variant == "shortcut" else usual)
        planned.append(PhantomSlide(Path(place).name, f"{place}.tif", kind, bool(pen), number))
    return planned


def phantom_renderer(
    slide: PhantomSlide, seed: int, size: tuple[int, int], mpp: float, parameters: PhantomParameters
) -> SlideRenderer:
    """Return what draws a slide; its ``anatomy`` is the truth."""
    rng = np.random.default_rng([seed, 1, slide.number])
    colours = parameters.stain.colour * rng.standard_normal((2, 3))
    anatomy = draw_anatomy(rng, (size[0] * mpp, size[1] * mpp), slide.kind, slide.pen, parameters)
    return SlideRenderer(anatomy, mpp, seed, parameters.stain, colours, parameters.artefacts.tears)


def phantom_annotation(anatomy: Anatomy, mpp: float) -> Annotation:
    """Return the outlines of the metastases in pixels of level 0, islands as exclusions."""
    outlines: list[Outline] = []
    for lesion in anatomy.metastases:
        outlines.append(Outline(f"_{len(outlines)}", "_0", lesion.outline.polygon() / mpp))
        if lesion.island is not None:
            outlines.append(Outline(f"_{len(outlines)}", "_2", lesion.island.polygon() / mpp, tumour=False))
    return Annotation(tuple(outlines))


def _write_slide(
    slide: PhantomSlide,
    root: Path,
    seed: int,
    size: tuple[int, int],
    mpp: float,
    quality: int,
    parameters: PhantomParameters,
) -> dict[str, Any]:
    """Draw and write a slide and its annotation; return its row of ``phantom.csv``."""
    renderer = phantom_renderer(slide, seed, size, mpp, parameters)
    annotation = phantom_annotation(renderer.anatomy, mpp)
    if slide.annotation is not None:
        write_asap(root / slide.annotation, annotation)
    if not (root / slide.place).exists():
        # several slides are drawn at once: threads of each would only wait for each other
        with threadpool_limits(1):
            write_pyramid(root / slide.place, size, renderer, mpp, quality=quality)
    lesions = annotation.lesions(mpp) if annotation.outlines else []
    return {
        "slide": slide.place,
        "kind": slide.kind or "none",
        "lesions": len(lesions),
        "tumour_mm2": round(sum(lesion.area_um2 for lesion in lesions) / 1e6, 5),
        "largest_um": round(max((lesion.extent_um for lesion in lesions), default=0.0), 1),
        "pen": int(slide.pen),
        "fold": int(bool(renderer.anatomy.folds)),
        "pale_area": int(renderer.anatomy.pale is not None),
        "stain": round(float(np.mean(renderer.anatomy.stain)), 3),
    }


def _kind(slide: PhantomSlide) -> str:
    return {None: "None", "macro": "Macro", "micro": "Micro", "itc": "ITC"}[slide.kind]


def _write_table(path: Path, table: pd.DataFrame, header: bool = True) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, header=header)
