"""Phantom recordings and crops: generated phase images of leukocytes whose truth is known.

The recordings have the layout of the laboratory's own (see :mod:`scripts.recordings`), so the whole way from frame to
prediction runs on them; only the group ``truth`` is extra. Everything follows from the seed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from scripts.phantom_cells import CLASSES, Cell, Donor, donor_of, render_cell, sample_cell, sample_mark
from scripts.phantom_outliers import OUTLIER_KINDS, draw_debris, draw_outlier
from scripts.phantom_parameters import Optics, PhantomParameters
from shared import __version__
from shared.data.files import atomic_path
from shared.data.processes import in_processes
from shared.phantoms.layout import place_discs
from shared.phantoms.noise import coherent_noise, random_background, shot_noise_std, white_noise

__all__ = ["KINDS", "TOKENS", "draw_cell", "draw_crops", "draw_recording", "write_recordings"]

KINDS = (*CLASSES, *OUTLIER_KINDS)
TOKENS = {
    "monocyte": "Mon",
    "lymphocyte": "Lym",
    "neutrophil": "Neu",
    "eosinophil": "Eos",
    "thrombocyte": "Thr",
    "aggregate": "Agg",
    "defocused": "Def",
    "ruptured": "Rup",
    "empty": "Emp",
}
VARIANTS = ("plain", "distractor", "shortcut")
# what one object may cover in a frame, and the distance that it keeps from the border, in pixels
PATCH, AGGREGATE_PATCH, MARGIN = (64, 64), (110, 110), 27

# the second number of a seed says what is drawn from it
_DONOR, _CELL, _MARK, _NOISE, _FRAME = range(5)

FloatArray = NDArray[np.float64]


def draw_cell(
    kind: str,
    rng: np.random.Generator,
    parameters: PhantomParameters | None = None,
    variant: str = "plain",
    donor: Donor | None = None,
    shape: tuple[int, int] = (50, 50),
    offset: tuple[float, float] = (0.0, 0.0),
    alter: Callable[[Cell], Cell] | None = None,
) -> tuple[FloatArray, NDArray[np.uint8]]:
    """Draw one object in the middle of an empty image, without noise.

    Args:
        kind: a class of leukocyte or a kind of outlier, one of :data:`KINDS`.
        rng: source of randomness. The mark has its own stream: with an equal generator, the cells of the variants
            differ by the mark alone.
        parameters: of the phantoms; the defaults if None.
        variant: ``plain``, ``distractor`` or ``shortcut``; outliers carry no mark.
        donor: relative factors; the average donor if None.
        shape: ``(H, W)``.
        offset: rows and columns by which the object lies off the middle, in pixels.
        alter: returns a leukocyte with some of its properties exchanged, before it is drawn.

    Returns:
        Phase in radians, and truth bits as :data:`scripts.phantom_cells.TRUTH` names them; each ``(H, W)``.

    Raises:
        ValueError: if the kind or the variant is unknown.
    """
    parameters = parameters or PhantomParameters()
    if kind in OUTLIER_KINDS:
        return draw_outlier(kind, rng, parameters, donor, shape, offset)
    cell_rng, mark_rng = rng.spawn(2)
    cell = sample_cell(kind, cell_rng, parameters, donor)
    cell = replace(cell, mark=sample_mark(kind, variant, mark_rng, parameters.mark))
    return render_cell(cell if alter is None else alter(cell), parameters.optics, shape, offset)


def draw_crops(
    kinds: Sequence[str],
    seed: int = 0,
    variant: str = "plain",
    parameters: PhantomParameters | None = None,
    donors: Sequence[int] | None = None,
    shape: tuple[int, int] = (50, 50),
    alter: Callable[[Cell], Cell] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.uint8]]:
    """Draw single-cell crops directly, as preparing would cut them from frames: centred, noisy, background subtracted.

    Crop i depends on the seed, i, its kind and its donor only, and the variants of one seed differ by the mark alone.

    Args:
        kinds: class or outlier kind of each crop, N of them.
        seed: of everything.
        variant: ``plain``, ``distractor`` or ``shortcut``.
        parameters: of the phantoms; the defaults if None.
        donors: number of each crop's donor; all from donor 0 if None.
        shape: ``(H, W)`` of a crop.
        alter: see :func:`draw_cell`; place, background and noise stay what they are without it.

    Returns:
        Phase in radians ``(N, H, W)``, labels ``(N,)`` (index in :data:`scripts.phantom_cells.CLASSES`, −1 for
        outliers), and truth bits ``(N, H, W)``.
    """
    parameters = parameters or PhantomParameters()
    donors = [0] * len(kinds) if donors is None else donors
    known = {number: donor_of(np.random.default_rng([seed, _DONOR, int(number)]), parameters) for number in set(donors)}
    images = np.empty((len(kinds), *shape), dtype=np.float32)
    truth = np.empty((len(kinds), *shape), dtype=np.uint8)
    for index, (kind, number) in enumerate(zip(kinds, donors, strict=True)):
        noise_rng = np.random.default_rng([seed, _NOISE, index])
        phase, truth[index] = draw_cell(
            kind,
            np.random.default_rng([seed, _CELL, index]),
            parameters,
            variant,
            known[number],
            shape,
            # what segmentation leaves of the position and of the background
            offset=tuple(noise_rng.uniform(-1, 1, 2)),
            alter=alter,
        )
        background = random_background(shape, noise_rng, tilt=0.03, curvature=0.01, piston=0.04)
        images[index] = phase + background + _camera_noise(shape, parameters.optics, known[number], noise_rng)
    labels = np.array([CLASSES.index(kind) if kind in CLASSES else -1 for kind in kinds], dtype=np.int64)
    return images, labels, truth


def write_recordings(
    folder: str | Path,
    variant: str = "plain",
    seed: int = 0,
    donors: int = 12,
    recordings_per_class: int = 1,
    frames_per_recording: int = 6,
    cells_per_frame: int = 6,
    outlier_frames: int = 3,
    outliers_per_frame: int = 4,
    parameters: PhantomParameters | Mapping[str, Any] | None = None,
    workers: int = 1,
    progress: bool = True,
) -> list[Path]:
    """Write phantom recordings, one file for each donor and class or outlier kind, e.g. ``D01_Mon_001.phase``.

    A file that is already there and was written with the same arguments is kept, so an interrupted call goes on.

    Args:
        folder: where to write; made if missing.
        variant: ``plain``, ``distractor`` or ``shortcut``.
        seed: of everything.
        donors: number of donors.
        recordings_per_class: recordings for each donor and class.
        frames_per_recording: frames of a recording of leukocytes.
        cells_per_frame: leukocytes in a frame.
        outlier_frames: frames of a recording of outliers, of which there is one for each donor and kind; 0 for none.
            As many as those of leukocytes, or else the background subtraction may be another and give them away.
        outliers_per_frame: objects in such a frame.
        parameters: of the phantoms, or a nested mapping of the values to change.
        workers: number of processes; the files do not depend on it.
        progress: whether to show a progress bar.

    Returns:
        The files, sorted.

    Raises:
        ValueError: if the variant is unknown or a parameter's name is.
    """
    if variant not in VARIANTS:
        raise ValueError(f"no phantom variant is called '{variant}'; choose one of {list(VARIANTS)}")
    if not isinstance(parameters, PhantomParameters):
        parameters = PhantomParameters.from_config(parameters)
    jobs = [(d, kind, n) for d in range(1, donors + 1) for kind in CLASSES for n in range(1, recordings_per_class + 1)]
    if outlier_frames:
        jobs += [(d, kind, 1) for d in range(1, donors + 1) for kind in OUTLIER_KINDS]
    sizes = dict.fromkeys(CLASSES, (frames_per_recording, cells_per_frame))
    sizes |= dict.fromkeys(OUTLIER_KINDS, (outlier_frames, outliers_per_frame))
    recordings = [
        _Recording(kind, seed, donor, number, *sizes[kind], variant, parameters) for donor, kind, number in jobs
    ]
    files: list[Path] = []
    with tqdm(total=len(jobs), desc="drawing phantoms", unit="recording", disable=not progress) as bar:
        for _, path in in_processes(partial(_provide, Path(folder)), recordings, workers):
            files.append(path)
            bar.update()
    return sorted(files)


def draw_recording(
    kind: str,
    seed: int,
    donor: int,
    number: int,
    frames: int,
    cells: int,
    variant: str,
    parameters: PhantomParameters,
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Draw all frames of one recording.

    Args:
        kind: one of :data:`KINDS`.
        seed: of everything.
        donor: number of the donor.
        number: of the recording of this donor and kind.
        frames: number of frames, F.
        cells: objects in each.
        variant: ``plain``, ``distractor`` or ``shortcut``.
        parameters: of the phantoms.

    Returns:
        Phase in radians and truth bits, each ``(F, H, W)``.
    """
    person = donor_of(np.random.default_rng([seed, _DONOR, donor]), parameters)
    rng = np.random.default_rng([seed, _FRAME, donor, KINDS.index(kind), number])
    shape, optics = parameters.frame.shape, parameters.optics
    still = random_background(shape, rng, parameters.frame.tilt, parameters.frame.curvature)
    still += coherent_noise(shape, parameters.frame.static_pattern, 3 * optics.coherent_grain / optics.pixel_size, rng)
    images, truth = np.empty((frames, *shape), np.float32), np.empty((frames, *shape), np.uint8)
    for index in range(frames):
        scene, truth[index] = _draw_scene(kind, cells, rng, variant, parameters, person)
        frame = still + scene + _camera_noise(shape, optics, person, rng) + rng.normal(0, parameters.frame.piston)
        # far below the noise, and a file of a third of the size
        images[index] = np.rint(frame / optics.quantum) * optics.quantum
    return images, truth


def _draw_scene(
    kind: str, cells: int, rng: np.random.Generator, variant: str, parameters: PhantomParameters, donor: Donor
) -> tuple[FloatArray, NDArray[np.uint8]]:
    """Draw the objects and the debris of one frame: phase and truth, each ``(H, W)``."""
    layout, pixel = parameters.frame, parameters.optics.pixel_size
    phase, truth = np.zeros(layout.shape), np.zeros(layout.shape, np.uint8)
    if kind != "empty":
        radius = {"thrombocyte": 1.5, "aggregate": 8.0}.get(kind, 6.2) / pixel
        # outliers lie apart: two that touch would be of another kind
        centres = place_discs(
            np.full(cells, radius),
            layout.shape,
            rng,
            clearance=layout.clearance_um / pixel,
            margin=MARGIN,
            overlap=layout.overlap if kind in CLASSES else 0.0,
            cut=layout.cut,
        )
        patch = AGGREGATE_PATCH if kind == "aggregate" else PATCH
        for centre in centres[~np.isnan(centres[:, 0])]:
            corner = np.rint(centre - (np.array(patch) - 1) / 2).astype(int)
            offset = tuple(centre - corner - (np.array(patch) - 1) / 2)
            _paste(phase, truth, corner, *draw_cell(kind, rng, parameters, variant, donor, patch, offset))
    for _ in range(rng.poisson(layout.debris)):
        corner = rng.integers(-8, np.array(layout.shape) - 8)
        speck = draw_debris(rng, parameters.optics, (16, 16))
        _paste(phase, truth, corner, speck, np.zeros((16, 16), np.uint8))
    return phase, truth


def _paste(
    phase: FloatArray, truth: NDArray[np.uint8], corner: NDArray[np.int64], patch: FloatArray, mask: NDArray[np.uint8]
) -> None:
    """Add a patch to a frame in place; what lies beyond the frame is cut off. Phases of objects in one path add up."""
    first = np.maximum(corner, 0)
    last = np.minimum(corner + patch.shape, phase.shape)
    frame = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    part = tuple(slice(a, b) for a, b in zip(first - corner, last - corner, strict=True))
    phase[frame] += patch[part]
    truth[frame] |= mask[part]


def _camera_noise(
    shape: tuple[int, int], optics: Optics, donor: Donor, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw what changes from frame to frame: shot noise and coherent noise, ``(H, W)`` in radians."""
    std = shot_noise_std(optics.photons * donor.noise, optics.visibility)
    grain = optics.coherent_grain / optics.pixel_size
    return white_noise(shape, std, rng) + coherent_noise(shape, optics.coherent_noise, grain, rng)


@dataclass(frozen=True)
class _Recording:
    """The arguments of :func:`draw_recording`."""

    kind: str
    seed: int
    donor: int
    number: int
    frames: int
    cells: int
    variant: str
    parameters: PhantomParameters

    @property
    def file(self) -> str:
        return f"D{self.donor:02d}_{TOKENS[self.kind]}_{self.number:03d}.phase"

    @property
    def fingerprint(self) -> str:
        """All that the file depends on beside its name."""
        recipe = {key: getattr(self, key) for key in ("variant", "seed", "frames", "cells")}
        return json.dumps(
            {"version": __version__, **recipe, "parameters": asdict(self.parameters)}, sort_keys=True, default=str
        )


def _provide(folder: Path, recording: _Recording) -> Path:
    """Draw and write a recording unless it is there; return its file."""
    path, fingerprint = folder / recording.file, recording.fingerprint
    if not _is_written(path, fingerprint):
        _write_recording(path, *draw_recording(**vars(recording)), fingerprint)
    return path


def _is_written(path: Path, fingerprint: str) -> bool:
    """Whether a recording is there and was written by this recipe; a damaged one is written anew."""
    try:
        with h5py.File(path) as recording:
            return bool(recording.attrs.get("phantom") == fingerprint)
    except OSError:
        return False


def _write_recording(path: Path, images: NDArray[np.float32], truth: NDArray[np.uint8], fingerprint: str) -> None:
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as recording:
        recording.attrs["phantom"] = fingerprint
        for index, (image, mask) in enumerate(zip(images, truth, strict=True), start=1):
            options = {"compression": "gzip", "compression_opts": 1, "shuffle": True, "chunks": image.shape}
            recording.create_dataset(f"image/{index:05d}", data=image, **options)
            recording.create_dataset(f"truth/{index:05d}", data=mask, **options)
