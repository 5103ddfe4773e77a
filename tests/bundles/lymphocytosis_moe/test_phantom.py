"""Phantom smears: pictures against their truth, what decides and what must not, files and their reproducibility."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from monai.bundle import ConfigParser
from PIL import Image
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from shared.data.datalist import load_section
from shared.phantoms.parameters import Spread

ORDINARY, ABNORMAL, GRANULAR = range(3)


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")


@pytest.fixture(scope="module")
def phantom(scripts):
    return scripts("phantom")


@pytest.fixture(scope="module")
def draw_patient(scripts):
    return scripts("phantom_images").draw_patient


@pytest.fixture(scope="module")
def bits(scripts):
    return scripts("phantom_cells").TRUTH


@pytest.fixture(scope="module")
def patients(scripts):
    """3000 patients of bags as large as the paper's."""
    return scripts("phantom_patients").sample_patients(3000, seed=1)


@pytest.fixture(scope="module")
def cells(draw_patient, patients, bits):
    """Images, masks and kinds of 240 cells, a third of each kind, of six patients."""
    parts = [draw_patient(replace(p, images=40, shares=(1 / 3, 1 / 3, 1 / 3)), seed=5) for p in patients[:6]]
    images, truth, kinds = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return images, {name: bits.decode(truth, name) for name in bits.names}, kinds


def _mean_inside(values, mask):
    """Mean over each image's mask; NaN where that is empty."""
    with np.errstate(invalid="ignore"):
        return (values * mask).sum(axis=(1, 2)) / mask.sum(axis=(1, 2))


def test_masks_are_nested_and_the_cause_is_that_of_the_kind(cells):
    _, mask, kinds = cells
    assert not (mask["nucleus"] & ~mask["cell"]).any()
    assert not (mask["nucleolus"] & ~mask["nucleus"]).any()
    assert not (mask["granules"] & ~mask["cell"]).any()
    assert not (mask["granules"] & mask["nucleus"]).any()
    np.testing.assert_array_equal(mask["cause"][kinds == ABNORMAL], mask["nucleus"][kinds == ABNORMAL])
    np.testing.assert_array_equal(mask["cause"][kinds == GRANULAR], mask["granules"][kinds == GRANULAR])
    assert not mask["cause"][kinds == ORDINARY].any()
    assert mask["cause"][kinds != ORDINARY].any(axis=(1, 2)).all()
    shows = {name: mask[name].any(axis=(1, 2)) for name in ("nucleolus", "granules")}
    assert shows["nucleolus"][kinds == ABNORMAL].mean() > 0.8
    assert shows["granules"][kinds == GRANULAR].all()
    for kind in (ORDINARY, GRANULAR):
        assert 0 < shows["nucleolus"][kinds == kind].mean() < 0.2  # a sign of one cell may mislead
    assert 0 < shows["granules"][kinds == ORDINARY].mean() < 0.4


def test_the_nucleus_is_where_the_picture_is_dark(cells):
    images, mask, _ = cells
    rows, columns = np.mgrid[:112, :112] - 55.5
    dark = (images[..., 0] < 135) & (np.hypot(rows, columns) < 26)
    dark = ndimage.binary_opening(dark, np.ones((1, 3, 3)))
    overlap = 2 * (dark & mask["nucleus"]).sum(axis=(1, 2)) / (dark.sum(axis=(1, 2)) + mask["nucleus"].sum(axis=(1, 2)))
    assert overlap.mean() > 0.93
    assert np.quantile(overlap, 0.02) > 0.80


def test_nucleoli_are_pale_and_granules_dark_in_their_own_cell(cells):
    images, mask, _ = cells
    green = images[..., 1].astype(float)
    chromatin = mask["nucleus"] & ~ndimage.binary_dilation(mask["nucleolus"], np.ones((1, 3, 3)))
    plasma = ndimage.binary_erosion(mask["cell"], np.ones((1, 3, 3))) & ~ndimage.binary_dilation(
        mask["nucleus"] | mask["granules"], np.ones((1, 3, 3)), iterations=2
    )
    with_nucleolus, with_granules = (mask[name].any(axis=(1, 2)) for name in ("nucleolus", "granules"))
    paler = (_mean_inside(green, mask["nucleolus"]) - _mean_inside(green, chromatin))[with_nucleolus]
    assert (paler > 5).mean() > 0.95
    darker = (_mean_inside(green, plasma) - _mean_inside(green, mask["granules"]))[with_granules]
    darker = darker[~np.isnan(darker)]
    assert (darker > 10).mean() > 0.95


def test_red_cells_lie_around_the_lymphocyte_and_not_on_it(cells):
    images, mask, _ = cells
    red, green, blue = (images[..., channel].astype(float) for channel in range(3))
    around = ~ndimage.binary_dilation(mask["cell"], np.ones((1, 3, 3)), iterations=3)
    background = around & (green > 210)
    assert np.abs(images[background].mean(axis=0) - (252, 227, 204)).max() < 6
    erythrocytes = around & (green < 200) & (red > 120)
    assert 0.3 < erythrocytes.sum() / around.sum() < 0.75
    assert (red[erythrocytes] > blue[erythrocytes]).mean() > 0.9
    plasma = ndimage.binary_erosion(mask["cell"], np.ones((1, 3, 3))) & ~ndimage.binary_dilation(
        mask["nucleus"], np.ones((1, 3, 3))
    )
    assert (blue[plasma] > green[plasma]).mean() > 0.9  # cytoplasm is blue, whatever lies beside it


@pytest.mark.parametrize("size", [112, 56])
def test_areas_are_those_of_the_outlines(scripts, size):
    """A star-convex outline r (1 + Σ a cos mθ + b sin mθ) encloses π r² (1 + ½ Σ a² + b²)."""
    module, parameters = scripts("phantom_cells"), scripts("phantom_parameters").PhantomParameters()
    rng = np.random.default_rng(2)
    cells = module.sample_lymphocytes(np.arange(60) % 3, rng, parameters)
    stain = scripts("phantom_rendering").render_lymphocytes(cells, (size, size), rng, parameters)
    pixel = parameters.microscope.field_um / size
    area = module.TRUTH.decode(stain.truth, "cell").sum(axis=(1, 2)) * pixel**2
    expected = np.pi * cells.cell_radius**2 * (1 + (cells.cell_outline**2).sum(axis=(0, 1)) / 2)
    np.testing.assert_allclose(area, expected, rtol=0.03 * 112 / size)
    inside = cells.nucleus_radius * np.sqrt(np.pi) * (1 + (cells.nucleus_outline**2).sum(axis=(0, 1)) / 4)
    nucleus = np.sqrt(module.TRUTH.decode(stain.truth, "nucleus").sum(axis=(1, 2)) * pixel**2)
    assert (nucleus < 1.03 * inside).all()  # the cell's outline may cut a little off
    assert (nucleus > 0.85 * inside).all()


def test_cells_of_the_kinds_overlap_in_size(cells):
    _, mask, kinds = cells
    area = mask["nucleus"].sum(axis=(1, 2))
    score = roc_auc_score(kinds[kinds != GRANULAR] == ABNORMAL, area[kinds != GRANULAR])
    assert 0.75 < score < 0.95


def test_one_cell_does_not_decide_but_all_do(patients):
    labels = np.array([patient.label for patient in patients])
    shares = np.array([patient.shares for patient in patients])
    assert (shares > 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    rng = np.random.default_rng(0)
    evidence = {}
    for images in (1, 24, 80):
        counts = rng.multinomial(images, shares) / images
        evidence[images] = roc_auc_score(labels, counts[:, ABNORMAL] - counts[:, GRANULAR])
    assert evidence[1] < 0.82
    assert evidence[24] > 0.95
    assert evidence[80] > evidence[24]
    # abnormal cells occur in nearly all reactive patients too: one of them is no proof
    assert (rng.binomial(80, shares[labels == 0, ABNORMAL]) > 0).mean() > 0.8


def test_attributes_overlap_realistically(patients):
    labels = np.array([patient.label for patient in patients])
    age = np.array([patient.age for patient in patients], float)
    log_count = np.log([patient.lymphocyte_count for patient in patients])
    assert labels.mean() == pytest.approx(0.65, abs=1e-3)
    assert np.exp(log_count).min() >= 4  # who has fewer has no lymphocytosis
    assert 0.65 < roc_auc_score(labels, age) < 0.80
    assert 0.75 < roc_auc_score(labels, log_count) < 0.88
    standard = (age - age.mean()) / age.std() + 1.3 * (log_count - log_count.mean()) / log_count.std()
    assert 0.80 < roc_auc_score(labels, standard) < 0.90


def test_bag_size_says_nothing_unless_it_shall(scripts, patients):
    sample = scripts("phantom_patients").sample_patients
    labels = np.array([patient.label for patient in patients])
    images = np.array([patient.images for patient in patients])
    assert (images.min(), images.max()) == (16, 198)
    assert images.mean() == pytest.approx(82, abs=8)
    # standard error of an AUC of ½: √((n₀ + n₁ + 1) / 12 n₀ n₁)
    ones, zeros = labels.sum(), (1 - labels).sum()
    error = np.sqrt((ones + zeros + 1) / (12 * ones * zeros))
    assert abs(roc_auc_score(labels, images) - 0.5) < 3 * error
    shortcut = sample(3000, seed=1, variant="shortcut")
    sizes = np.array([patient.images for patient in shortcut])
    assert roc_auc_score(labels, sizes) > 0.78
    assert (sizes.min(), sizes.max()) == (16, 198)
    assert [replace(p, images=0) for p in shortcut] == [replace(p, images=0) for p in patients]


def test_drawing_depends_on_the_seed_and_the_patient_only(draw_patient, patients):
    patient = replace(patients[3], images=40)
    first, again = draw_patient(patient, seed=7), draw_patient(patient, seed=7)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert first[0].shape == (40, 112, 112, 3)
    assert first[1].shape == (40, 112, 112)
    assert (first[0].dtype, first[1].dtype) == (np.uint8, np.uint8)
    for other in (draw_patient(patient, seed=8), draw_patient(replace(patient, number=4), seed=7)):
        assert (other[0] != first[0]).mean() > 0.8
    # no cell is drawn twice
    assert len({image.tobytes() for image in first[0]}) == 40


def test_smears_of_a_patient_differ_in_stain_and_not_in_the_patient(draw_patient, patients):
    patient = replace(patients[0], images=60)
    images, _, _ = draw_patient(patient, seed=3, smears=3)
    colours = np.array([part.reshape(-1, 3).mean(axis=0) for part in np.array_split(images, 3)])
    halves = np.array([part.reshape(-1, 3).mean(axis=0) for part in np.array_split(images[:20], 2)])
    assert np.ptp(colours, axis=0).max() > 2 * np.abs(np.diff(halves, axis=0)).max()


def test_points_keep_off_the_disc_and_have_the_density_of_the_grid(scripts):
    scatter = scripts("phantom_surroundings").scatter_around
    radius = np.full(200, 5.0)
    image, place = scatter(radius, 36.0, 8.0, 3.0, np.random.default_rng(0))
    distance = np.linalg.norm(place, axis=1)
    assert distance.min() >= 8.0 - 1e-9
    far = (np.abs(place).max(axis=1) < 18) & (distance > 11)
    area = 36.0**2 - np.pi * 11**2
    assert far.sum() / (200 * area) == pytest.approx(0.88 / (8.0**2 * np.sqrt(3) / 2), rel=0.05)
    assert np.bincount(image, minlength=200).min() > 10


@pytest.fixture
def write(phantom, tmp_path):
    def run(name, **arguments):
        settings = {"patients": 12, "bag_size": {"mean": 7, "std": 1, "low": 5, "high": 9}, "image_size": 48}
        return phantom.write_smears(tmp_path / name, **{**settings, "progress": False, **arguments})

    return run


def _files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_files_are_those_of_the_seed_in_however_many_processes(write):
    one = _files(write("one", seed=3))
    assert _files(write("two", seed=3, workers=2)) == one
    other = _files(write("three", seed=4))
    assert sum(other.get(path) == content for path, content in one.items()) < 0.1 * len(one)


@pytest.mark.parametrize("image_format", ["jpg", "png"])
def test_files_hold_what_was_drawn(write, draw_patient, scripts, image_format):
    folder = write("smears", seed=2, image_format=image_format)
    sample = scripts("phantom_patients").sample_patients
    drawn = sample(12, seed=2, bag_size=Spread(7, 1, 5, 9))
    table = pd.read_csv(folder / "clinical.csv")
    assert table["n_images"].tolist() == [patient.images for patient in drawn]
    assert table["label"].tolist() == [patient.label for patient in drawn]
    instances = pd.read_csv(folder / "instances.csv", dtype={"image": str})
    assert len(instances) == table["n_images"].sum()
    images, truth, kinds = draw_patient(drawn[5], seed=2, image_size=48)
    abnormal = instances[instances["patient"] == drawn[5].identity]["abnormal"]
    assert abnormal.tolist() == (kinds == ABNORMAL).astype(int).tolist()
    for index in range(drawn[5].images):
        name = f"{drawn[5].identity}/{index:06d}"
        np.testing.assert_array_equal(np.asarray(Image.open(folder / "truth" / f"{name}.png")), truth[index])
        stored = np.asarray(Image.open(folder / "images" / f"{name}.{image_format}")).astype(float)
        assert np.abs(stored - images[index]).mean() <= (0 if image_format == "png" else 4)


def test_phantoms_are_prepared_by_the_bundles_config(write, repository, tmp_path):
    folder = write("smears", seed=1, patients=16, smears=2)
    parser = ConfigParser(
        ConfigParser.load_config_file(str(repository / "bundles" / "lymphocytosis_moe" / "configs" / "prepare.json"))
    )
    parser.update({"workers": 1, "smear_pattern": "^(?P<smear>S[0-9]+)_"})
    parser.get_parsed_content("prepare")(folder, tmp_path / "data", progress=False)
    assert not pd.read_csv(tmp_path / "data" / "excluded.csv").size
    instances = pd.read_csv(folder / "instances.csv").set_index(["patient", "image"])["abnormal"]
    seen = 0
    for section in ("training", "validation", "test"):
        for record in load_section(tmp_path / "data" / "datalist.json", section):
            assert set(record["smear"]) == {"S1", "S2"}
            keys = ("image", "truth", "smear", "instance_label")
            for image, truth, smear, abnormal in zip(*(record[key] for key in keys), strict=True):
                assert Path(image).name.startswith(smear)
                assert Path(truth).stem == Path(image).stem
                assert abnormal == instances[record["patient"], Path(image).name]
                assert bool((np.asarray(Image.open(truth)) & 8).any()) >= bool(abnormal)  # the cause is marked
                seen += 1
    assert seen == len(instances)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "distractor"}, r"choose one of \['plain', 'shortcut'\]"),
        ({"image_format": "bmp"}, "image_format must be jpg or png"),
        ({"tumoral_share": 1.5}, "tumoral_share must lie in 0 to 1"),
        ({"parameters": {"kinds": {"reactive": {}}}}, "no parameter is called 'reactive'"),
        ({"bag_size": {"mean": 1, "std": 1, "low": 5, "high": 9}}, "expected low <= mean <= high"),
    ],
)
def test_wrong_settings(write, arguments, message):
    with pytest.raises(ValueError, match=message):
        write("smears", **arguments)
