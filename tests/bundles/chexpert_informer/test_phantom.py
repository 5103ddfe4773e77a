"""Phantom chests: their measurable signs against their truth, their distributions, their files."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from monai.bundle import ConfigParser
from PIL import Image
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from shared.data.datalist import load_section

FINDINGS = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion")
SIZE = 128


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


@pytest.fixture(scope="module")
def patients(scripts):
    return scripts("phantom_patients")


@pytest.fixture(scope="module")
def parameters(scripts):
    return scripts("phantom_parameters").PhantomParameters()


@pytest.fixture(scope="module")
def studies(patients):
    return patients.sample_studies({"train": 3000, "test": 1500}, seed=1)


@pytest.fixture(scope="module")
def render(scripts):
    return scripts("phantom_rendering").render_study


@pytest.fixture(scope="module")
def bits(scripts):
    return scripts("findings").TRUTH


def _with(study, threshold=0.25, view="PA", **extents):
    """The study with the given extents and no other finding, upright."""
    values = tuple(extents.get(name, 0.0) for name in FINDINGS)
    return replace(study, extents=values, present=tuple(v >= threshold for v in values), view=view, marker=False)


def _pair(render, study, finding, extent, seed=0, size=SIZE):
    """The film without and with a finding, and the mask of it; both have the same noise."""
    healthy, _ = render(_with(study), seed, size)
    ill, truth = render(_with(study, **{finding: extent}), seed, size)
    return healthy.astype(float), ill.astype(float), truth


def test_the_joint_distribution_has_the_given_prevalences_and_odds(patients, parameters):
    table = patients.co_occurrence(parameters)
    assert table.sum() == pytest.approx(1)
    for index, name in enumerate(FINDINGS):
        assert table @ patients.COMBINATIONS[:, index] == pytest.approx(parameters.kinds[name].prevalence, abs=1e-6)
    for i, j in combinations(range(5), 2):
        # the odds ratio of two findings, whatever the other three are
        for others in ((0, 0, 0), (1, 0, 1)):
            rest = iter(others)
            base = [next(rest) if k not in (i, j) else 0 for k in range(5)]

            def cell(a, b, base=base, i=i, j=j):
                values = list(base)
                values[i], values[j] = a, b
                return table[(values == patients.COMBINATIONS).all(axis=1)].item()

            odds = cell(1, 1) * cell(0, 0) / (cell(1, 0) * cell(0, 1))
            assert np.log(odds) == pytest.approx(parameters.log_odds[f"{FINDINGS[i]}+{FINDINGS[j]}"], abs=1e-9)


def test_findings_occur_and_co_occur_as_they_shall(studies, patients, parameters):
    present = np.array([study.present for study in studies])
    table = patients.co_occurrence(parameters)
    observed = np.array([(present == row).all(axis=1).mean() for row in patients.COMBINATIONS.astype(bool)])
    error = np.sqrt(table * (1 - table) / len(present))
    assert (np.abs(observed - table) < 4 * error).all()
    together = np.corrcoef(present.T)
    assert together[1, 3] > 0.15  # a large heart and edema
    assert together[0, 4] > 0.12  # a collapsed lung and an effusion


def test_a_finding_is_present_from_the_threshold_on_and_extents_have_no_gap(studies, parameters):
    extents, present = (np.array([getattr(study, name) for study in studies]) for name in ("extents", "present"))
    threshold = parameters.reports.threshold
    np.testing.assert_array_equal(present, extents >= threshold)
    assert extents.max() <= 1
    near = (np.abs(extents - threshold) < 0.03).sum(axis=0)
    assert (near > 30).all()  # subtle on both sides
    assert ((extents > 0) & ~present).any(axis=0).all()


def test_reports_doubt_near_the_threshold(studies, parameters):
    train = [study for study in studies if study.table == "train"]
    codes, extents = (np.array([getattr(study, name) for study in train]) for name in ("codes", "extents"))
    shown, threshold = extents > 0, parameters.reports.threshold
    near = shown & (np.abs(extents - threshold) < 0.05)
    assert (codes[near] == -1).mean() == pytest.approx(parameters.reports.doubt, abs=0.06)
    assert (codes[extents > 0.8] == -1).mean() < 0.01
    assert (codes[extents > 0.8] == 1).mean() > 0.97
    assert not (codes[~shown] == -1).any()
    assert (codes[~shown] == 0).mean() == pytest.approx(parameters.reports.explicit, abs=0.01)
    assert np.isnan(codes[~shown]).mean() == pytest.approx(1 - parameters.reports.explicit, abs=0.01)
    assert 0.05 < (codes == -1).mean() < 0.2
    tests = [study for study in studies if study.table == "test"]
    assert all(study.codes == tuple(map(float, study.present)) for study in tests)


def test_the_text_says_nothing_unless_it_shall(patients, studies, parameters):
    tied = FINDINGS.index(parameters.shortcut.finding)
    shortcut = patients.sample_studies({"train": 3000, "test": 1500}, seed=1, variant="shortcut")
    # as text, since a blank code (NaN) equals nothing
    assert [str(replace(study, marker=False)) for study in shortcut] == [
        str(replace(study, marker=False)) for study in studies
    ]
    present = np.array([study.present[tied] for study in studies])
    marker, tied_marker = (np.array([study.marker for study in one]) for one in (studies, shortcut))
    assert marker.mean() == pytest.approx(tied_marker.mean(), abs=0.03)
    error = np.sqrt(marker.mean() * (1 - marker.mean()) * (1 / present.sum() + 1 / (~present).sum()))
    assert abs(marker[present].mean() - marker[~present].mean()) < 3 * error
    assert tied_marker[present].mean() == pytest.approx(parameters.shortcut.with_finding, abs=0.03)
    assert tied_marker[~present].mean() == pytest.approx(parameters.shortcut.without_finding, abs=0.03)


@pytest.mark.parametrize("extent", [0.0, 0.1, 0.24, 0.25, 0.5, 1.0])
def test_a_heart_is_large_if_it_takes_more_than_half_of_the_chest(scripts, studies, parameters, extent):
    """The heart's widest rows and the chest's are measured on the drawn outlines."""
    plan_findings = scripts("phantom_plan").plan_findings
    sample_thorax, grid = (
        scripts("phantom_thorax").sample_thorax,
        scripts("phantom_grid").FilmGrid((700, 700), 0.05, (0, 14)),
    )
    x, y = grid.coordinates()
    for study in studies[:5]:
        study = _with(study, cardiomegaly=extent)
        plan = plan_findings(study, np.random.default_rng(0), parameters.reports.threshold)
        person, film = np.random.default_rng(study.patient), np.random.default_rng(1)
        thorax = sample_thorax(study, person, film, plan.heart_ratio, plan.lifts, plan.shift, parameters)
        heart, cage = ((x[shape > 0].max() - x[shape > 0].min()) for shape in (thorax.heart(x, y), thorax.cage(x, y)))
        ratio = heart / cage
        assert ratio == pytest.approx(thorax.heart_ratio, abs=0.004)
        assert (thorax.heart_ratio >= 0.5) == study.present[1]
        if extent == 1.0:
            assert ratio > 0.63


@pytest.mark.parametrize("finding", ["atelectasis", "consolidation", "edema", "pleural_effusion"])
def test_a_strong_finding_brightens_the_lung_where_its_mask_is_and_little_elsewhere(render, studies, bits, finding):
    inside, outside, lungs_part = [], [], []
    for study in studies[:6]:
        healthy, ill, truth = _pair(render, study, finding, 0.8)
        mask, lungs = bits.decode(truth, finding), bits.decode(truth, "lungs")
        assert mask.any()
        difference = ill - healthy
        inside.append(difference[mask].mean())
        outside.append(np.abs(difference[lungs & ~ndimage.binary_dilation(mask, iterations=8)]).mean())
        lungs_part.append(mask.mean())
        assert not any(bits.decode(truth, name).any() for name in FINDINGS if name != finding)
    assert np.mean(inside) > 15
    assert np.mean(inside) > 3 * np.mean(outside)
    assert 0.005 < np.mean(lungs_part) < 0.5


@pytest.mark.parametrize("finding", FINDINGS)
def test_signs_grow_with_the_extent(render, studies, bits, finding):
    """The change of the film, on average over patients, is the larger the larger the extent, from the subtle on."""
    changes = []
    for extent in (0.1, 0.3, 0.6, 1.0):
        pairs = [_pair(render, study, finding, extent, size=80) for study in studies[:6]]
        changes.append(np.mean([np.abs(ill - healthy).mean() for healthy, ill, _ in pairs]))
        has_mask = [bits.decode(truth, finding).any() for _, _, truth in pairs]
        assert all(has_mask) if extent >= 0.25 else not any(has_mask)
    assert changes == sorted(changes)
    assert changes[-1] > 1.5 * changes[1]


def test_an_effusion_fills_the_angle_and_rises_at_the_wall(scripts, render, studies, bits):
    rises, depths = [], []
    for study in studies[:12]:
        _, truth = render(_with(study, pleural_effusion=0.6), 0, SIZE)
        fluid = ndimage.label(bits.decode(truth, "pleural_effusion"))
        sizes = np.bincount(fluid[0].ravel())[1:]
        mask = fluid[0] == 1 + sizes.argmax()
        columns = np.flatnonzero(mask.any(axis=0))
        top = np.array([np.flatnonzero(mask[:, column])[0] for column in columns])
        left_side = columns.mean() > SIZE / 2
        wall, middle = (top[-8:], top[len(top) // 2]) if left_side else (top[:8], top[len(top) // 2])
        rises.append(middle - wall.min())
        depths.append(np.flatnonzero(mask.any(axis=1)).mean() / SIZE)
    assert np.mean(rises) > 3  # the meniscus: pixels by which the wall's end lies higher
    assert np.mean(depths) > 0.6  # at the base


def test_a_collapsed_lung_draws_its_diaphragm_up(scripts, studies, parameters):
    module, plan_findings = scripts("phantom_thorax"), scripts("phantom_plan").plan_findings
    for study in studies[:20]:
        domes = []
        for extent in (0.0, 0.9):
            changed = _with(study, atelectasis=extent)
            plan = plan_findings(changed, np.random.default_rng(study.patient), parameters.reports.threshold)
            rngs = np.random.default_rng(study.patient), np.random.default_rng(2)
            thorax = module.sample_thorax(changed, *rngs, plan.heart_ratio, plan.lifts, plan.shift, parameters)
            domes.append(np.array(thorax.domes))
            side = plan.collapsed[0]
        lift = domes[0] - domes[1]
        assert lift[int(side > 0)] > 0.7  # cm
        assert lift[int(side < 0)] == 0
        assert plan.shift * side >= 0  # and the heart towards it


def test_edema_is_on_both_sides_around_the_hila(render, studies, bits):
    for study in studies[:8]:
        _, truth = render(_with(study, edema=0.8), 0, SIZE)
        columns = np.flatnonzero(bits.decode(truth, "edema"))
        share = (columns % SIZE < SIZE / 2).mean()
        assert 0.25 < share < 0.75


def test_consolidation_shows_dark_bronchi_in_a_bright_patch(scripts, studies, parameters):
    """Along the bronchi the share of air taken is smaller than beside them."""
    module, grid = scripts("phantom_findings"), scripts("phantom_grid").FilmGrid((300, 300), 0.12, (0, 14))
    thorax = scripts("phantom_thorax").sample_thorax
    plan = scripts("phantom_plan").plan_findings
    study = _with(studies[0], consolidation=0.9)
    rng = np.random.default_rng(5)
    layout = plan(study, rng, 0.25)
    chest = thorax(study, np.random.default_rng(0), rng, None, (0, 0), 0.0, parameters)
    flat = np.zeros(grid.shape, np.float32)
    share = module.draw_opacities(study, layout, chest, grid, grid.coordinates(), flat, rng)["consolidation"]
    core = ndimage.binary_erosion(share > 0.25, iterations=6)
    filled = ndimage.grey_closing(share, 9)
    assert core.sum() > 500
    assert 0.02 < (share[core] < 0.75 * filled[core]).mean() < 0.5
    edges = np.abs(np.gradient(filled)[0])
    assert np.quantile(edges[(filled > 0.1) & (filled < 0.5)], 0.5) < 0.15  # soft


def test_one_number_tells_a_finding_but_not_without_error(render, studies, bits):
    """Subtle and strong films mix: the mean brightness of the lungs is no diagnosis."""
    chosen = studies[:150]
    brightness, present = [], []
    for study in chosen:
        film, truth = render(study, 0, 64)
        brightness.append(film[bits.decode(truth, "lungs")].mean())
        present.append(study.present)
    for index in range(5):
        assert 0.25 < roc_auc_score(np.array(present)[:, index], brightness) < 0.85


def test_films_look_like_films(render, studies, bits):
    """Order of the densities: lung, abdomen; and the right lung is the larger."""
    sides = []
    for study in studies[:10]:
        film, truth = render(_with(study), 0, SIZE)
        lungs = bits.decode(truth, "lungs")
        rows, columns = np.nonzero(lungs)
        base = film[min(rows.max() + 6, SIZE - 1), int(columns.mean()) - 10 : int(columns.mean()) + 10]
        assert film[lungs].mean() < base.mean() - 40
        assert 40 < film[lungs].mean() < 170
        sides.append(lungs[:, : SIZE // 2].sum() - lungs[:, SIZE // 2 :].sum())
    assert np.mean(sides) > 0  # the heart lies on the patient's left, the film's right


def test_noise_is_that_of_the_photons(render, studies, parameters, scripts):
    """Two films of one chest that differ in their quantum noise only differ by √2 σ, with σ² ∝ 1 / photons."""
    modules = scripts("phantom_rendering")
    grid = scripts("phantom_grid").FilmGrid((200, 200), 0.2)
    flat = np.full(grid.shape, 2.0, np.float32)
    spread = []
    for photons in (1e5, 4e5):
        changed = replace(parameters, acquisition=replace(parameters.acquisition, photons=photons, unevenness=0.0))
        study = _with(studies[0])
        film = modules._expose(flat, study, grid, np.random.default_rng(0), np.random.default_rng(1), changed)
        tone = np.log(film / (255 - film))  # the logistic tone curve undone: attenuation over latitude
        latitude = np.random.default_rng(0)
        changed.acquisition.blur.draw(latitude)
        latitude.standard_normal((3, 3))
        changed.acquisition.centre.draw(latitude)
        spread.append(tone.std() * changed.acquisition.latitude.draw(latitude))
        assert spread[-1] == pytest.approx(np.sqrt(np.exp(2.0) / (photons * 0.04)), rel=0.03)
    assert spread[0] / spread[1] == pytest.approx(2, rel=0.02)


def test_the_text_is_where_its_mask_is(render, studies, bits):
    bare = _with(studies[3])
    without, truth = render(bare, 0, 320)
    assert not bits.decode(truth, "marker").any()
    film, truth = render(replace(bare, marker=True), 0, 320)
    mask = bits.decode(truth, "marker")
    changed = film != without
    assert changed.any()
    assert not (changed & ~mask).any()
    assert film[mask].max() > 200
    height, width = (np.ptp(axis) for axis in np.nonzero(mask))
    assert width > 3 * height


def test_drawing_depends_on_seed_and_study_only_and_size_changes_no_anatomy(render, studies, bits):
    study = studies[7]
    film, truth = render(study, 3, SIZE)
    again = render(study, 3, SIZE)
    np.testing.assert_array_equal(film, again[0])
    np.testing.assert_array_equal(truth, again[1])
    assert (film.shape, film.dtype, truth.dtype) == ((SIZE, SIZE), np.uint8, np.uint8)
    assert (render(study, 4, SIZE)[0] != film).mean() > 0.8
    assert (render(replace(study, patient=99), 3, SIZE)[0] != film).mean() > 0.8
    small = bits.decode(render(study, 3, SIZE // 2)[1], "lungs")
    large = bits.decode(truth, "lungs").reshape(SIZE // 2, 2, SIZE // 2, 2).mean(axis=(1, 3)) > 0.5
    assert 2 * (small & large).sum() / (small.sum() + large.sum()) > 0.97


@pytest.fixture
def write(scripts, tmp_path):
    def run(name, **arguments):
        settings = {"patients": {"train": 8, "valid": 4, "test": 4}, "image_size": 48, "progress": False}
        return scripts("phantom").write_chests(tmp_path / name, **{**settings, **arguments})

    return run


def _files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_files_are_those_of_the_seed_in_however_many_processes(write):
    one = _files(write("one", seed=3))
    assert _files(write("two", seed=3, workers=2)) == one
    other = _files(write("three", seed=4))
    assert not any(other.get(path) == content for path, content in one.items())


@pytest.mark.parametrize("image_format", ["jpg", "png"])
def test_files_hold_what_was_drawn_in_chexperts_layout(write, patients, render, scripts, image_format):
    folder = write("chests", seed=2, image_format=image_format, studies=2)
    drawn = patients.sample_studies({"train": 8, "valid": 4, "test": 4}, seed=2, studies=2)
    tables = {name: pd.read_csv(folder / f"{name}.csv") for name in ("train", "valid", "test")}
    assert list(tables["train"].columns) == [
        "Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *scripts("phantom").OBSERVATIONS
    ]  # fmt: skip
    assert [len(table) for table in tables.values()] == [16, 8, 8]
    known = pd.read_csv(folder / "phantom.csv").set_index("Path")
    titles = ["Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion"]
    for study in drawn:
        path = f"CheXpert-v1.0-small/{study.place}/view1_frontal.{image_format}"
        row = tables[study.table].set_index("Path").loc[path]
        np.testing.assert_array_equal(row[titles].to_numpy(float), study.codes)
        assert (row["Sex"], row["AP/PA"]) == ({"F": "Female", "M": "Male"}[study.sex], study.view)
        assert known.loc[path, list(FINDINGS)].tolist() == list(study.present)
        assert known.loc[path, "extent_edema"] == pytest.approx(study.extents[3], abs=1e-4)
    film, truth = render(drawn[5], 2, 48)
    place = folder / f"{drawn[5].place}/view1_frontal.{image_format}"
    stored = np.asarray(Image.open(place)).astype(float)
    assert np.abs(stored - film).mean() <= (0 if image_format == "png" else 4)
    np.testing.assert_array_equal(
        np.asarray(Image.open(folder / "truth" / f"{drawn[5].place}/view1_frontal.png")), truth
    )


def test_phantoms_are_prepared_by_the_bundles_config(write, repository, tmp_path, bits):
    folder = write("chests", seed=1, patients={"train": 30, "valid": 12, "test": 12})
    file = repository / "bundles" / "chexpert_informer" / "configs" / "prepare.json"
    parser = ConfigParser(ConfigParser.load_config_file(str(file)))
    parser.update({"workers": 1})
    parser.get_parsed_content("prepare")(folder, tmp_path / "data", progress=False)
    assert not pd.read_csv(tmp_path / "data" / "excluded.csv").size
    known = pd.read_csv(folder / "phantom.csv")
    known.index = known["Path"].str.extract(r"(patient\d+)/(study\d+)/(view1_frontal)").agg("_".join, axis=1)
    seen = 0
    for section in ("training", "validation", "test"):
        for record in load_section(tmp_path / "data" / "datalist.json", section):
            truth = np.asarray(Image.open(record["truth"]))
            for index, name in enumerate(FINDINGS):
                assert bits.decode(truth, name).any() == known.loc[record["id"], name]
                if section != "training":
                    assert record["label"][index] == known.loc[record["id"], name]
            assert bits.decode(truth, "marker").any() == known.loc[record["id"], "marker"]
            seen += 1
    assert seen == 54


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "distractor"}, r"choose one of \['plain', 'shortcut'\]"),
        ({"image_format": "bmp"}, "image_format must be jpg or png"),
        ({"patients": {"training": 4}}, "no table is called 'training'"),
        ({"parameters": {"kinds": {"oedema": {}}}}, "no parameter is called 'oedema'"),
        ({"parameters": {"kinds": {"edema": {"prevalence": 0.0}}}}, "each prevalence must lie between 0 and 1"),
        ({"parameters": {"log_odds": {"edema+edema": 1}}}, "'edema\\+edema' does not join two"),
        ({"parameters": {"shortcut": {"finding": "fracture"}}}, "no finding is called 'fracture'"),
    ],
)
def test_wrong_settings(write, arguments, message):
    with pytest.raises(ValueError, match=message):
        write("chests", **arguments)
