"""Phantoms of leukocytes: physics, truth, reproducibility and the layout of the files."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.measure import regionprops
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

CLASSES = ("monocyte", "lymphocyte", "neutrophil", "eosinophil")


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("leukocyte_qpi")


@pytest.fixture(scope="module")
def phantom(scripts):
    return scripts("phantom")


@pytest.fixture(scope="module")
def cells(scripts):
    return scripts("phantom_cells")


@pytest.fixture(scope="module")
def crops(phantom):
    """240 crops, 60 per class, from 12 donors."""
    kinds = [CLASSES[i % 4] for i in range(240)]
    return phantom.draw_crops(kinds, seed=3, donors=[(i // 4) % 12 for i in range(240)])


@pytest.fixture
def parameters(scripts):
    return scripts("phantom_parameters").PhantomParameters()


def plain_cell(cells, **changes):
    """A spherical cell without granules or textures, its nucleus a sphere of half its radius."""
    properties = {
        "kind": "lymphocyte",
        "diameter_um": 9.0,
        "axial_ratio": 0.8,
        "outline": np.empty((0, 2)),
        "cytoplasm_index": 0.02,
        "nucleus": np.array([[0.1, 0.0, 0.0, 0.5]]),
        "nucleus_index": 0.015,
        "chromatin_contrast": 0.0,
        "cytoplasm_contrast": 0.0,
        "granules": np.array([[0.0, 0.3, 0.0, 0.08], [-0.5, 0.2, 0.1, 0.04]]),
        "granule_index": 0.05,
        "blur_um": 0.3,
        "texture_seed": 0,
    }
    return cells.Cell(**(properties | changes))


def test_dry_mass_is_that_of_the_spheres(cells, parameters):
    optics = parameters.optics
    phase, _ = cells.render_cell(plain_cell(cells), optics, (60, 60), offset=(0.3, -0.4))
    mass = (phase * optics.wavelength / (2 * np.pi)).sum() * optics.pixel_size**2 / optics.refraction_increment
    unit = 4 / 3 * np.pi * 4.5**3  # the granules are not flattened
    volumes = 0.8 * unit, 0.8 * unit * 0.5**3, unit * (0.08**3 + 0.04**3)
    expected = np.dot(volumes, [0.02, 0.015, 0.05]) / 0.19  # Δn V / α, in pg
    assert mass == pytest.approx(expected, rel=3e-3)


def test_the_offset_moves_the_cell(cells, parameters):
    plain, _ = cells.render_cell(plain_cell(cells), parameters.optics)
    moved, _ = cells.render_cell(plain_cell(cells), parameters.optics, offset=(3.0, -2.0))
    np.testing.assert_allclose(np.roll(plain, (3, -2), axis=(0, 1)), moved, atol=1e-6)


def test_exchanging_the_nucleus_changes_nothing_elsewhere(cells, parameters):
    cell = cells.sample_cell("neutrophil", np.random.default_rng(0), parameters)
    other = replace(cell, nucleus=cells.draw_nucleus(0, np.random.default_rng(1), 0.3))
    (before, bits), (after, other_bits) = (cells.render_cell(c, parameters.optics) for c in (cell, other))
    nuclei = cells.TRUTH.decode(bits | other_bits, "nucleus")
    near = ndimage.binary_dilation(nuclei, iterations=5)
    assert np.abs(before - after)[nuclei].max() > 0.3
    assert np.abs(before - after)[~near].max() < 0.01


def test_streams_of_body_nucleus_and_granules_are_independent(scripts, cells, parameters):
    changed = scripts("phantom_parameters").PhantomParameters.from_config(
        {"cells": {"eosinophil": {"lobes": {"4": 1.0}, "granules": {"mean": 40, "std": 5}}}}
    )
    one, two = (cells.sample_cell("eosinophil", np.random.default_rng(5), p) for p in (parameters, changed))
    assert len(one.nucleus) != len(two.nucleus)
    assert (one.diameter_um, one.cytoplasm_index, one.texture_seed) == (
        two.diameter_um,
        two.cytoplasm_index,
        two.texture_seed,
    )
    assert (one.outline == two.outline).all()


def test_crops_depend_on_seed_and_index_only(phantom):
    kinds = ["monocyte", "eosinophil", "aggregate", "lymphocyte"]
    first = phantom.draw_crops(kinds, seed=7)
    again = phantom.draw_crops(kinds[:2], seed=7)
    other = phantom.draw_crops(kinds[:2], seed=8)
    for a, b in zip(first, again, strict=True):
        assert (a[:2] == b).all()
    assert (first[0][:2] != other[0]).mean() > 0.99
    assert first[1].tolist() == [0, 3, -1, 1]
    assert (first[0].dtype, first[0].shape, first[2].dtype) == (np.float32, (4, 50, 50), np.uint8)


def test_truth_is_nested_and_holds_the_cause(cells, crops):
    _, labels, truth = crops
    mask = {name: cells.TRUTH.decode(truth, name) for name in cells.TRUTH.names}
    for name in ("nucleus", "granules", "cause"):
        assert not (mask[name] & ~mask["cell"]).any()
    assert not mask["distractor"].any()
    assert not mask["shortcut"].any()
    assert mask["cause"].any(axis=(1, 2)).all()
    eosinophil = labels == 3
    assert (mask["cause"][eosinophil] == mask["granules"][eosinophil]).all()
    assert (mask["cause"][~eosinophil] == mask["nucleus"][~eosinophil]).all()


def test_the_image_shows_the_cell_where_the_truth_says(cells, crops):
    images, _, truth = crops
    cell = cells.TRUTH.decode(truth, "cell")
    seen = images > 0.5
    agreement = 2 * (seen & cell).sum(axis=(1, 2)) / (seen.sum(axis=(1, 2)) + cell.sum(axis=(1, 2)))
    assert agreement.min() > 0.85
    assert agreement.mean() > 0.94
    # light must be able to tell the cell from the background at its rim
    rim = cell & ~ndimage.binary_erosion(cell, np.ones((1, 3, 3)), iterations=2)
    assert np.median(images[rim]) > 0.6


def test_sizes_lie_in_the_declared_ranges(cells, parameters, crops):
    _, labels, truth = crops
    area = cells.TRUTH.decode(truth, "cell").sum(axis=(1, 2)) * parameters.optics.pixel_size**2
    diameter = 2 * np.sqrt(area / np.pi)
    for label, kind in enumerate(CLASSES):
        spread = parameters.cells[kind].diameter_um
        assert diameter[labels == label].min() > spread.low * 0.97
        assert diameter[labels == label].max() < spread.high * 1.03
    rows = cells.TRUTH.decode(truth, "cell").any(axis=2).sum(axis=1)
    assert rows.max() < 50  # nothing is cut by the crop


def test_size_and_mean_phase_do_not_decide(cells, crops):
    images, labels, truth = crops
    cell = cells.TRUTH.decode(truth, "cell")
    area = cell.sum(axis=(1, 2))
    features = np.stack([area, (images * cell).sum(axis=(1, 2)) / area, (images * cell).sum(axis=(1, 2))], axis=1)
    donors = (np.arange(240) // 4) % 12
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features[donors < 8], labels[donors < 8])
    assert f1_score(labels[donors >= 8], model.predict(features[donors >= 8]), average="macro") < 0.65


def test_variants_differ_by_the_mark_alone(phantom, cells):
    kinds = [CLASSES[i % 4] for i in range(40)]
    plain, _, plain_truth = phantom.draw_crops(kinds, seed=2)
    for variant in ("distractor", "shortcut"):
        images, _, truth = phantom.draw_crops(kinds, seed=2, variant=variant)
        mark = cells.TRUTH.decode(truth, variant)
        assert (truth & ~np.uint8(cells.TRUTH.value(variant)) == plain_truth).all()
        near = ndimage.binary_dilation(mark, np.ones((1, 3, 3)), iterations=6)
        assert np.abs(images - plain)[~near].max() < 0.02
        assert (images - plain)[mark].mean() > 0.7


def test_the_distractor_says_nothing_of_the_class_and_the_shortcut_nearly_all(cells, parameters):
    rng = np.random.default_rng(0)
    rate = {
        (variant, kind): np.mean(
            [cells.sample_mark(kind, variant, rng, parameters.mark) is not None for _ in range(1500)]
        )
        for variant in ("plain", "distractor", "shortcut")
        for kind in CLASSES
    }
    for kind in CLASSES:
        assert rate["plain", kind] == 0
        assert rate["distractor", kind] == pytest.approx(0.5, abs=0.05)
        assert rate["shortcut", kind] == pytest.approx(0.95 if kind == "neutrophil" else 0.03, abs=0.02)


def test_outliers_look_like_what_they_are_called(phantom, cells, parameters):
    pixel = parameters.optics.pixel_size
    drawn = {
        kind: [phantom.draw_cell(kind, np.random.default_rng(i), shape=(110, 110)) for i in range(25)]
        for kind in phantom.KINDS[4:]
    }
    leukocytes = [phantom.draw_cell("monocyte", np.random.default_rng(i), shape=(110, 110)) for i in range(25)]
    for kind, pairs in drawn.items():
        assert not any(cells.TRUTH.decode(truth, "cause").any() for _, truth in pairs), kind

    def area(truth):
        return cells.TRUTH.decode(truth, "cell").sum() * pixel**2

    thrombocytes = [2 * np.sqrt(area(truth) / np.pi) for _, truth in drawn["thrombocyte"]]
    assert min(thrombocytes) > 1.8
    assert max(thrombocytes) < 3.9
    assert not any(truth.any() for _, truth in drawn["empty"])
    # the members of an aggregate are in contact, and it is no disc
    masks = [cells.TRUTH.decode(truth, "cell") for _, truth in drawn["aggregate"]]
    assert np.mean([ndimage.label(mask, np.ones((3, 3)))[1] == 1 for mask in masks]) > 0.9
    assert np.median([regionprops(mask.astype(int))[0].solidity for mask in masks]) < 0.93
    intact = np.median([phase.sum() for phase, _ in leukocytes])
    assert np.median([phase.sum() for phase, _ in drawn["ruptured"]]) < 0.5 * intact
    # out of focus, light is spread beyond the outline, and the phase rings
    spread = [
        np.abs(phase[~ndimage.binary_dilation(cells.TRUTH.decode(truth, "cell"), iterations=3)]).max()
        for phase, truth in drawn["defocused"]
    ]
    focus = [
        np.abs(phase[~ndimage.binary_dilation(cells.TRUTH.decode(truth, "cell"), iterations=3)]).max()
        for phase, truth in leukocytes
    ]
    assert np.median(spread) > 10 * np.median(focus)


def test_degranulated_eosinophils_have_lost_most_granules(cells, scripts):
    rates = {"degranulated": 0.3}
    changed = scripts("phantom_parameters").PhantomParameters.from_config({"cells": {"eosinophil": rates}})
    rng = np.random.default_rng(0)
    counts = np.array([len(cells.sample_cell("eosinophil", rng, changed).granules) for _ in range(400)])
    assert np.mean(counts < 20) == pytest.approx(0.3, abs=0.08)


def test_unknown_names_are_refused(scripts, phantom):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="'basophil'"):
        phantom.draw_cell("basophil", rng)
    with pytest.raises(ValueError, match="'shiny'"):
        phantom.draw_cell("monocyte", rng, variant="shiny")
    with pytest.raises(ValueError, match="'shiny'"):
        phantom.write_recordings("unused", variant="shiny")
    with pytest.raises(ValueError, match=r"parameters\.optics: no parameter is called 'pixelsize'"):
        scripts("phantom_parameters").PhantomParameters.from_config({"optics": {"pixelsize": 1}})


SMALL = {"donors": 2, "frames_per_recording": 2, "cells_per_frame": 4, "outlier_frames": 1, "progress": False}


@pytest.fixture(scope="module")
def recordings(phantom, tmp_path_factory):
    return phantom.write_recordings(tmp_path_factory.mktemp("recordings"), **SMALL)


def flatten(image, background):
    """Subtract the polynomial of second order that fits the background best."""
    v, u = np.meshgrid(*(np.linspace(-1, 1, n) for n in image.shape), indexing="ij")
    terms = np.stack([v**0, v, u, v * u, v**2, u**2], axis=-1)
    return image - terms @ np.linalg.lstsq(terms[background], image[background], rcond=None)[0]


def test_layout_of_the_recordings(phantom, cells, recordings):
    names = sorted(f"D0{d}_{token}_001.phase" for d in (1, 2) for token in phantom.TOKENS.values())
    assert [path.name for path in recordings] == names
    for path in recordings:
        frames = ["00001"] if path.name.split("_")[1] in ("Thr", "Agg", "Def", "Rup", "Emp") else ["00001", "00002"]
        with h5py.File(path) as file:
            assert sorted(file) == ["image", "truth"]
            assert list(file["image"]) == list(file["truth"]) == frames
            image, truth = file["image/00001"][()], file["truth/00001"][()]
        assert (image.shape, image.dtype) == ((384, 512), np.float32)
        assert (truth.shape, truth.dtype) == ((384, 512), np.uint8)
        assert np.isfinite(image).all()
        cell = cells.TRUTH.decode(truth, "cell")
        assert cell.any() == ("_Emp_" not in path.name)
        if any(f"_{phantom.TOKENS[kind]}_" in path.name for kind in CLASSES):
            # once the background is flat, a threshold tells the cells from it
            flat = flatten(image, ~ndimage.binary_dilation(cell, iterations=4))
            assert np.percentile(flat[cell], 10) > 0.3
            assert np.percentile(np.abs(flat[~ndimage.binary_dilation(cell, iterations=4)]), 95) < 0.25


def test_the_same_seed_gives_the_same_bytes(phantom, recordings, tmp_path):
    again = phantom.write_recordings(tmp_path, **SMALL)
    for one, two in zip(recordings, again, strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_processes_give_the_same_bytes_as_one(phantom, recordings, tmp_path):
    again = phantom.write_recordings(tmp_path, workers=2, **SMALL)
    assert [path.name for path in again] == [path.name for path in recordings]
    for one, two in zip(recordings, again, strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_recordings_change_with_the_seed(phantom, parameters):
    arguments = {"donor": 1, "number": 1, "frames": 1, "cells": 3, "variant": "plain", "parameters": parameters}
    one, two = (phantom.draw_recording("monocyte", seed, **arguments)[0] for seed in (0, 1))
    assert (one != two).mean() > 0.9


def test_an_interrupted_call_goes_on(phantom, tmp_path):
    small = {**SMALL, "donors": 1, "outlier_frames": 0}
    paths = phantom.write_recordings(tmp_path, **small)
    whole, kept = paths[0].read_bytes(), paths[1].stat().st_mtime_ns
    paths[0].write_bytes(whole[:5000])
    paths[2].unlink()
    phantom.write_recordings(tmp_path, **small)
    assert paths[0].read_bytes() == whole
    assert paths[1].stat().st_mtime_ns == kept
    assert paths[2].is_file()
    phantom.write_recordings(tmp_path, **small, seed=1)
    assert paths[0].read_bytes() != whole


@pytest.mark.slow
def test_a_linear_classifier_stays_well_below_the_network(scripts, phantom):
    number = 1280
    kinds, donors = [CLASSES[i % 4] for i in range(number)], np.array([(i // 4) % 12 for i in range(number)])
    images, labels, _ = phantom.draw_crops(kinds, seed=1, donors=donors)
    train, test = donors < 9, donors >= 9
    flat = images.reshape(number, -1)
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=200)).fit(flat[train], labels[train])
    linear_f1 = f1_score(labels[test], linear.predict(flat[test]), average="macro")

    torch.manual_seed(0)
    network = scripts("networks").LeNet5(dropout=0.25)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    x, y = torch.tensor(images[:, None] - 1.0), torch.tensor(labels)
    for _ in range(25):
        network.train()
        for batch in torch.from_numpy(np.flatnonzero(train))[torch.randperm(int(train.sum()))].split(32):
            turned = torch.rot90(x[batch], int(torch.randint(4, ())), (2, 3))
            turned = turned.flip(3) if torch.rand(()) < 0.5 else turned
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(turned), y[batch]).backward()
            optimiser.step()
    with torch.no_grad():
        network_f1 = f1_score(labels[test], network.eval()(x[test]).argmax(1), average="macro")
    assert linear_f1 < 0.7
    assert network_f1 > linear_f1 + 0.15
