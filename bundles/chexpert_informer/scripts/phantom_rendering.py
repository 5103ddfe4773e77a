"""From a study to its film: attenuation along the rays, quantum noise, tone curve, and the masks of what was drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scripts.findings import FINDINGS, TRUTH
from scripts.phantom_distractors import devices, scars
from scripts.phantom_findings import draw_opacities
from scripts.phantom_grid import FilmGrid, body, edge
from scripts.phantom_markings import mark_film
from scripts.phantom_parameters import PhantomParameters
from scripts.phantom_patients import PhantomStudy
from scripts.phantom_plan import plan_findings
from scripts.phantom_skeleton import skeleton
from scripts.phantom_thorax import Thorax, sample_thorax
from scripts.phantom_vessels import airways, lung_vessels
from shared.phantoms.noise import random_background, white_noise
from shared.phantoms.textures import gaussian_random_field

__all__ = ["render_study"]

Image = NDArray[np.floating]

# linear attenuation of soft tissue per cm, with the scattered radiation that reaches the film
_TISSUE = 0.200
# attenuation of the middle of a rib
_RIB = 0.40
# density of aired lung relative to tissue
_LUNG = 0.28
# films are processed to show fine structures: contrast of vessels and airways relative to what their thickness gives
_FINE = 3.8
# a finding's mask is where it takes this share of the air, or half of its own largest share if that is less
_VISIBLE = 0.15

# the second number of a seed says what is drawn from it; 0 to 3 are those of phantom_patients
_ANATOMY, _VESSELS, _LAYOUT, _FILM, _MARKS, _NOISE = range(4, 10)


def render_study(
    study: PhantomStudy,
    seed: int = 0,
    image_size: int = 320,
    parameters: PhantomParameters | None = None,
    opacity: float = 1.0,
    heart_ratio: float | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw the film of a study.

    The chest, its vessels and bones follow from the patient alone, everything else from patient and study; neither
    depends on the image's size, but for textures and noise.

    Args:
        study: what to draw.
        seed: of everything.
        image_size: rows and columns, pixels.
        parameters: of the phantoms; the defaults if None.
        opacity: factor on the share of the air that the findings of the lungs take, 0 to 1. Their masks and all else
            stay what they are.
        heart_ratio: width of the heart relative to the chest in place of what the study's extents make it.

    Returns:
        The film ``(H, W)``, grey of 8 bits, dense is bright; and its truth bits ``(H, W)`` as
        :data:`scripts.findings.TRUTH` names them. Only findings that count as present have a mask.
    """
    parameters = parameters or PhantomParameters()
    film_rng, layout, marks, noise = (
        np.random.default_rng([seed, stream, study.patient, study.study]) for stream in (_FILM, _LAYOUT, _MARKS, _NOISE)
    )
    person, vessel_rng = (np.random.default_rng([seed, stream, study.patient]) for stream in (_ANATOMY, _VESSELS))
    plan = plan_findings(study, layout, parameters.reports.threshold)
    if heart_ratio is not None:
        plan = replace(plan, heart_ratio=heart_ratio)
    thorax = sample_thorax(study, person, film_rng, plan.heart_ratio, plan.lifts, plan.shift, parameters)
    grid = _place_film(thorax, image_size, film_rng, parameters)
    x, y = coordinates = grid.coordinates()

    cage = thorax.cage(x, y)
    open_lung = (1 - thorax.below_diaphragm(x, y)) * (1 - thorax.mediastinum(x, y))
    air = np.float32(thorax.depth) * np.maximum(cage, 0) ** np.float32(0.42) * open_lung
    texture = gaussian_random_field(grid.shape, 0.55 / grid.pixel_size, noise).astype(np.float32)
    shares = draw_opacities(study, plan, thorax, grid, coordinates, texture, layout)
    left = np.ones_like(x)
    for share in shares.values():
        left *= 1 - np.float32(opacity) * share
    left *= 1 - scars(thorax, grid, parameters, film_rng)

    calibre = parameters.thorax.vessel_calibre.draw(vessel_rng)
    fine = grid.draw(lung_vessels(thorax, vessel_rng, calibre, plan.redistribution))
    fine *= np.clip(air / 4, 0, 1) * left  # a vessel shows where there is air around it
    fine += (
        0.035 * gaussian_random_field(grid.shape, 0.12 / grid.pixel_size, noise, 0.6 / grid.pixel_size) * np.sqrt(air)
    )
    breath = grid.draw(airways(thorax))
    bubble = _gastric_bubble(x, y, thorax, parameters, film_rng)
    path = thorax.soft_tissue(x, y) - (1 - _LUNG) * air * left - bubble
    inside = np.clip(path / 6, 0, 1)
    attenuation = _TISSUE * (path + _FINE * (1 - _LUNG) * fine - 1.5 * breath)
    # behind much tissue scattered radiation drowns the bones
    seen = inside / (1 + (path / 15) ** 4)
    attenuation += _RIB * seen * skeleton(x, y, thorax, study, person, parameters)
    attenuation += 0.05 * inside * gaussian_random_field(grid.shape, 1.6 / grid.pixel_size, noise)
    attenuation += grid.draw(devices(study, thorax, parameters, marks))
    image = _expose(attenuation, study, grid, film_rng, noise, parameters)
    image, marker = mark_film(image, study, grid, marks, parameters)

    aired = (cage > 0) & (open_lung > 0.15)
    present = {name for name, counts in zip(FINDINGS, study.present, strict=True) if counts}
    masks = {name: _visible(share) & aired for name, share in shares.items() if name in present}
    if "cardiomegaly" in present:
        masks["cardiomegaly"] = thorax.heart(x, y) > 0
    lungs = (cage > 0) & (open_lung > 0.3)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), TRUTH.encode({**masks, "marker": marker, "lungs": lungs})


def _place_film(thorax: Thorax, image_size: int, rng: np.random.Generator, parameters: PhantomParameters) -> FilmGrid:
    field = parameters.acquisition.field.draw(rng)
    # a film holds all of the lungs, whatever their size
    field = max(field, thorax.height + thorax.dome_depth + 6.0, 2 * thorax.half_width + 4.0)
    middle = 0.5 * (thorax.height + thorax.dome_depth) + 0.5
    centre = (rng.normal(0, 0.7), middle + rng.normal(0, 0.8))
    turn = np.deg2rad(parameters.thorax.rotation.draw(rng))
    return FilmGrid((image_size, image_size), field / image_size, centre, float(turn))


def _gastric_bubble(
    x: Image, y: Image, thorax: Thorax, parameters: PhantomParameters, rng: np.random.Generator
) -> Image:
    """Return the length of the rays in the stomach's air, cm: flat below, round above."""
    shown, place = rng.random() < parameters.distractors.gastric_bubble, rng.uniform(0.30, 0.60)
    width, height, depth = rng.uniform(1.6, 3.2), rng.uniform(1.0, 2.2), rng.uniform(2.5, 6.0)
    if not shown:
        return np.zeros_like(x)
    centre = place * thorax.half_width, thorax.domes[1] + 1.3 + height
    ball = np.maximum(body(x, y, centre, (width, height)), 0)
    return np.float32(depth) * np.sqrt(ball) * edge(y - centre[1] - 0.4 * height, 0.12)


def _expose(
    attenuation: NDArray[np.floating],
    study: PhantomStudy,
    grid: FilmGrid,
    film: np.random.Generator,
    noise: np.random.Generator,
    parameters: PhantomParameters,
) -> Image:
    """Return grey values of 0 to 255.

    N photons that arrive give the logarithm of their number a variance of 1 / N (Poisson); N falls as exp(−attenuation)
    and grows with the pixel's area. The tone curve is logistic in the attenuation.
    """
    acquisition = parameters.acquisition
    in_bed = study.view == "AP"
    photons = (acquisition.photons_ap if in_bed else acquisition.photons) * grid.pixel_size**2
    blur = acquisition.blur.draw(film) / grid.pixel_size
    sharp = ndimage.gaussian_filter(attenuation.astype(np.float32), blur, truncate=3.0)
    quanta = white_noise(grid.shape, 1.0, noise) * np.exp(0.5 * np.clip(sharp, 0, 7)) / np.float32(np.sqrt(photons))
    uneven = random_background(grid.shape, film, acquisition.unevenness, acquisition.unevenness)
    centre, latitude = (
        acquisition.centre.draw(film),
        (acquisition.latitude_ap if in_bed else acquisition.latitude).draw(film),
    )
    tone = (sharp + quanta + uneven.astype(np.float32) - np.float32(centre)) / np.float32(latitude)
    return np.float32(255) / (1 + np.exp(-tone))


def _visible(share: Image) -> NDArray[np.bool_]:
    return share > min(_VISIBLE, 0.5 * float(share.max()))
