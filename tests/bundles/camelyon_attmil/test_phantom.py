"""Phantom slides: their files, their truth, the same in whatever pieces they are drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import openslide
import pandas as pd
import pytest
import shapely
import tifffile

MPP = 1.0
SIZE = (1024, 896)


@pytest.fixture(scope="module")
def parameters(scripts):
    return scripts("phantom_parameters").PhantomParameters.from_config(
        {
            "artefacts": {"fold": 0.0, "pale_area": 0.0, "pale_slide": 0.0, "pen": 0.0, "tears": 0.0},
            "lesions": {"micro": {"mean": 260, "std": 30, "low": 220, "high": 300}},
            "node": {"fat": {"mean": 120, "std": 20, "low": 80, "high": 160}},
        }
    )


@pytest.fixture(scope="module")
def renderer(scripts, parameters):
    phantom = scripts("phantom")
    slide = phantom.PhantomSlide("tumor_001", "training/tumor/tumor_001.tif", "micro", False, 3)
    return phantom.phantom_renderer(slide, 0, SIZE, MPP, parameters)


def _noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(512, 512), (1301, 777), (200, 1100)])
def test_pyramid(scripts, tmp_path, size):
    smooth = np.add.outer(np.arange(size[1]) * 0.1, np.arange(size[0]) * 0.08)
    pixels = np.repeat(np.clip(smooth, 0, 255)[..., None], 3, axis=2).astype(np.uint8)
    path = scripts("pyramid_tiff").write_pyramid(
        tmp_path / "p.tif", size, lambda x, y, w, h: pixels[y : y + h, x : x + w], 0.25, quality=98
    )
    with openslide.OpenSlide(path) as slide:
        assert slide.dimensions == size
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.25, rel=1e-4)
        assert max(slide.level_dimensions[-1]) <= 512
        for level, (width, height) in enumerate(slide.level_dimensions):
            assert width == -(-size[0] // 2**level)
            found = np.asarray(slide.read_region((0, 0), level, (width, height)))[..., :3]
            step = 2**level
            centres = (
                np.minimum((np.arange(height) + 0.5) * step, size[1]) * 0.1,
                (np.minimum((np.arange(width) + 0.5) * step, size[0]) * 0.08),
            )
            np.testing.assert_allclose(found[..., 1], np.clip(np.add.outer(*centres), 0, 255), atol=3)


@pytest.mark.parametrize("size", [(601, 515), (300, 1100)])
def test_a_lossless_pyramid_keeps_every_pixel(scripts, tmp_path, size):
    pixels = _noise(size[1], size[0])
    path = scripts("pyramid_tiff").write_pyramid(
        tmp_path / "p.tif", size, lambda x, y, w, h: pixels[y : y + h, x : x + w], 16.0, quality=None
    )
    with openslide.OpenSlide(path) as slide:
        np.testing.assert_array_equal(np.asarray(slide.read_region((0, 0), 0, size))[..., :3], pixels)
        even = pixels[: size[1] // 2 * 2, : size[0] // 2 * 2].reshape(size[1] // 2, 2, size[0] // 2, 2, 3)
        smaller = np.asarray(slide.read_region((0, 0), 1, (size[0] // 2, size[1] // 2)))[..., :3]
        np.testing.assert_allclose(smaller, even.mean(axis=(1, 3)), atol=0.51)
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(16.0, rel=1e-4)


def test_tifffile_reads_the_directories(scripts, tmp_path):
    pixels = _noise(700, 600)
    path = scripts("pyramid_tiff").write_pyramid(
        tmp_path / "p.tif", (600, 700), lambda x, y, w, h: pixels[y : y + h, x : x + w], None
    )
    with tifffile.TiffFile(path) as file:
        assert [page.shape for page in file.pages] == [(700, 600, 3), (350, 300, 3)]
        assert file.pages[0].is_tiled
        assert [page.is_reduced for page in file.pages] == [False, True]
        assert file.pages[0].tags["ResolutionUnit"].value == 1  # none: the numbers beside it mean nothing
    with openslide.OpenSlide(path) as slide:
        assert openslide.PROPERTY_NAME_MPP_X not in slide.properties


def test_a_slide_is_the_same_in_whatever_pieces_it_is_drawn(renderer):
    whole = renderer(200, 120, 500, 400)
    parts = [[renderer(200 + x, 120 + y, w, h) for x, w in ((0, 137), (137, 363))] for y, h in ((0, 301), (301, 99))]
    np.testing.assert_array_equal(np.concatenate([np.concatenate(row, axis=1) for row in parts]), whole)


def test_tumour_is_drawn_within_its_annotation_and_nowhere_else(scripts, renderer):
    without = scripts("phantom_rendering").SlideRenderer(
        replace(renderer.anatomy, metastases=()), renderer.mpp, renderer.seed, renderer.stain, np.zeros((2, 3))
    )
    same = scripts("phantom_rendering").SlideRenderer(
        renderer.anatomy, renderer.mpp, renderer.seed, renderer.stain, np.zeros((2, 3))
    )
    changed = (same(0, 0, *SIZE).astype(int) - without(0, 0, *SIZE)).any(axis=2)
    area = scripts("phantom").phantom_annotation(renderer.anatomy, MPP).tumour
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    points = shapely.points(columns.ravel() + 0.5, rows.ravel() + 0.5)
    inside = shapely.contains(area.buffer(-4), points).reshape(changed.shape)
    outside = ~shapely.contains(area.buffer(5), points).reshape(changed.shape)
    assert inside.sum() > 10_000
    assert changed[inside].mean() > 0.97
    assert not changed[outside].any()


def test_faint_tumour_lies_between_the_tissue_and_full_tumour(scripts, renderer):
    """Absorbance is linear in the stains: at a contrast c it is c of the tumour's and 1 - c of the tissue's."""
    metastases, contrast = renderer.anatomy.metastases, 0.3
    light = {}
    for name, lesions in {
        "tissue": (),
        "faint": tuple(replace(lesion, contrast=contrast) for lesion in metastases),
        "tumour": tuple(replace(lesion, contrast=1.0) for lesion in metastases),
    }.items():
        drawn = scripts("phantom_rendering").SlideRenderer(
            replace(renderer.anatomy, metastases=lesions, pens=()),
            renderer.mpp,
            renderer.seed,
            replace(renderer.stain, noise=0.0),
            np.zeros((2, 3)),
        )
        light[name] = drawn(0, 0, *SIZE).astype(float)
    bright = np.minimum.reduce(list(light.values())) > 60  # a grey level is a sixtieth there
    absorbance = {name: -np.log(values[bright]) for name, values in light.items()}
    expected = contrast * absorbance["tumour"] + (1 - contrast) * absorbance["tissue"]
    assert (np.abs(absorbance["tumour"] - absorbance["tissue"]) > 0.2).sum() > 1000
    np.testing.assert_allclose(absorbance["faint"], expected, atol=0.018)
    assert all(lesion.contrast == 1 for lesion in metastases)
    with pytest.raises(ValueError, match=r"contrast: found 1\.5"):
        scripts("phantom_parameters").PhantomParameters.from_config({"lesions": {"contrast": 1.5}})


@pytest.mark.parametrize("kind", ["macro", "micro", "itc"])
def test_lesions_have_the_extent_of_their_kind_and_lie_in_the_node(scripts, kind):
    anatomy_module, phantom = scripts("phantom_anatomy"), scripts("phantom")
    parameters = scripts("phantom_parameters").PhantomParameters()
    for seed in range(25):
        anatomy = anatomy_module.draw_anatomy(np.random.default_rng(seed), (2560.0, 2304.0), kind, False, parameters)
        lesions = phantom.phantom_annotation(anatomy, 0.5).lesions(0.5)
        assert {lesion.kind for lesion in lesions} == {kind}
        node = shapely.Polygon(anatomy.node.polygon(720) / 0.5)
        assert all(node.contains(lesion.outline) for lesion in lesions)
        low, high = shapely.bounds(node)[:2], shapely.bounds(node)[2:]
        assert min(low) >= 0
        assert high[0] <= 5120
        assert high[1] <= 4608


def test_a_slide_looks_the_same_with_and_without_tumour(scripts):
    draw, parameters = scripts("phantom_anatomy").draw_anatomy, scripts("phantom_parameters").PhantomParameters()
    drawn = [draw(np.random.default_rng(1), (2560.0, 2304.0), kind, False, parameters) for kind in (None, "micro")]
    for name in ("extent", "layers", "stain", "shift"):
        assert getattr(drawn[0], name) == getattr(drawn[1], name)
    np.testing.assert_array_equal(drawn[0].node.polygon(), drawn[1].node.polygon())


def test_a_slide_too_small_for_a_macrometastasis_says_so(scripts):
    parameters = scripts("phantom_parameters").PhantomParameters()
    with pytest.raises(ValueError, match="make the slides larger"):
        scripts("phantom_anatomy").draw_anatomy(np.random.default_rng(0), (1000.0, 900.0), "macro", False, parameters)


def test_pen_marks_tell_tumour_only_in_the_shortcut(scripts):
    phantom, parameters = scripts("phantom"), scripts("phantom_parameters").PhantomParameters()
    share = {}
    for variant in ("plain", "shortcut"):
        slides = phantom.plan_slides({"normal": 300, "tumor": 300}, 0, variant, ["micro"], parameters)
        share[variant] = [np.mean([s.pen for s in slides if (s.kind is None) == normal]) for normal in (True, False)]
    np.testing.assert_allclose(share["plain"], [0.3, 0.3], atol=0.08)
    np.testing.assert_allclose(share["shortcut"], [0.1, 0.9], atol=0.06)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"variant": "odd"}, "variant"), ({"kinds": ["huge"]}, "kinds"), ({"slides": {"training": 3}}, "slides")],
)
def test_unknown_names_are_refused(scripts, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        scripts("phantom").write_slides(tmp_path, progress=False, **arguments)


@pytest.mark.parametrize("contrast", [0, 1.5, float("nan"), "faint"])
def test_a_contrast_that_is_none_is_refused(scripts, contrast):
    with pytest.raises(ValueError, match=r"contrast: found .*, expected a number above 0 and at most 1"):
        scripts("phantom_parameters").PhantomParameters.from_config({"lesions": {"contrast": contrast}})


def test_tissue_of_a_phantom_is_found(scripts, renderer, tmp_path):
    path = scripts("pyramid_tiff").write_pyramid(tmp_path / "p.tif", SIZE, renderer, MPP)
    with scripts("slide").Slide(path) as slide:
        found = scripts("tissue").TissueDetection()(slide)
    rows, columns = (np.mgrid[: found.mask.shape[0], : found.mask.shape[1]] + 0.5) * found.downsample * MPP
    node = renderer.anatomy.node.depth(columns, rows)
    assert found.mask[node > 20].mean() > 0.97
    assert found.mask[node < -200].mean() < 0.1


def test_the_layout_is_that_of_camelyon16(scripts, parameters, tmp_path):
    phantom = scripts("phantom")
    arguments = {
        "slides": {"normal": 1, "tumor": 2, "test": 3}, "kinds": ["micro", "itc"], "size": (640, 576), "mpp": MPP,
        "parameters": parameters, "progress": False,
    }  # fmt: skip
    phantom.write_slides(tmp_path / "one", workers=1, **arguments)
    phantom.write_slides(tmp_path / "two", workers=2, **arguments)
    files = sorted(path.relative_to(tmp_path / "one").as_posix() for path in (tmp_path / "one").rglob("*.*"))
    assert files[-6:] == [
        "testing/reference.csv",
        "training/lesion_annotations/tumor_001.xml",
        "training/lesion_annotations/tumor_002.xml",
        "training/normal/normal_001.tif",
        "training/tumor/tumor_001.tif",
        "training/tumor/tumor_002.tif",
    ]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    layout = scripts("camelyon16_layout").Camelyon16Layout()
    slides, excluded = layout.read(tmp_path / "one")
    assert not excluded
    table = pd.read_csv(tmp_path / "one" / "phantom.csv").set_index("slide")
    for slide in slides:
        row = table.loc[slide.path.relative_to(tmp_path / "one").as_posix()]
        assert slide.label == int(row["kind"] != "none")
        assert (slide.annotation is not None) == bool(slide.label)
        if slide.label:
            lesions = scripts("annotations").read_asap(slide.annotation).lesions(MPP)
            assert len(lesions) == row["lesions"]
            assert lesions[0].area_um2 / 1e6 <= row["tumour_mm2"] * 1.01
