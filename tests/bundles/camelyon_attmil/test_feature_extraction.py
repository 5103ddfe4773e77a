"""Tiles through an encoder into a file: the right numbers, resumed, undisturbed by broken tiles and slides."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from shared.data.errors import DataError
from shared.data.files import read_json


class MeanAndSpread(nn.Module):
    """Mean and standard deviation of each colour, ``(n, 6)``, and a weight to be hashed."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(6))
        self.images = 0

    def forward(self, images):
        self.images += len(images)
        return torch.cat([images.mean(dim=(2, 3)), images.std(dim=(2, 3))], dim=1) * self.weight


@pytest.fixture
def encoder(scripts):
    return scripts("tile_encoder").TileEncoder(MeanAndSpread(), "means", mean=[0, 0, 0], std=[1, 1, 1])


@pytest.fixture
def extraction(scripts, encoder):
    return scripts("feature_extraction").FeatureExtraction(
        encoder,
        tiling=scripts("tiling").Tiling(tissue_share=0.5),
        tile_size=64,
        batch_size=5,
        readers=0,
        part_batches=2,
    )


@pytest.fixture
def source(scripts, write_stained, tmp_path):
    path = write_stained(tmp_path / "slides" / "s1.tif")
    return scripts("source_slide").SourceSlide("s1", path, "p1", 0)


def _bag(scripts, output, name="s1"):
    return scripts("feature_layouts").read_features(output / "features" / f"{name}.h5")


@pytest.mark.parametrize("readers", [0, 2])
def test_features_are_those_of_each_tile_alone(scripts, extraction, source, tmp_path, readers):
    state = replace(extraction, readers=readers).extract(source, tmp_path)
    assert (state.status, state.tiles, state.broken) == ("done", 48, [])
    assert set(state.seconds) == {"reading", "transfer", "encoder", "writing"}
    bag = _bag(scripts, tmp_path)
    with scripts("slide").Slide(source.path) as slide:
        geometry = slide.tile_geometry(64, 0.5)
        tiles = np.stack([slide.read_tile(x, y, geometry) for x, y in bag.coords.tolist()]) / 255
    expected = np.concatenate([tiles.mean(axis=(1, 2)), tiles.std(axis=(1, 2), ddof=1)], axis=1)
    np.testing.assert_allclose(bag.features, expected, atol=1e-3)
    assert (bag.tile_label == 0).all()
    about = bag.attributes
    assert (about.tile_size, about.level0_tile_size, about.slide_size) == (64, 64, (1024, 768))
    assert (about.encoder, about.encoder_sha256) == ("means", extraction.encoder.sha256)
    assert not (tmp_path / "state" / "parts" / "s1").exists()


@pytest.mark.parametrize("number", [1, 8, 19])
def test_a_cpu_encodes_few_tiles_at_once_and_gives_the_same(encoder, number):
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (number, 32, 32, 3), dtype=np.uint8))
    at_once = []
    encoder.network.register_forward_hook(lambda _network, inputs, _features: at_once.append(len(inputs[0])))
    features = encoder.encode(images).numpy()
    colours = images.numpy().reshape(number, -1, 3) / 255
    expected = np.concatenate([colours.mean(axis=1), colours.std(axis=1, ddof=1)], axis=1)
    np.testing.assert_allclose(features, expected, atol=1e-6)
    assert max(at_once) <= 8
    assert sum(at_once) == number


def test_an_interrupted_slide_goes_on_where_it_was(scripts, extraction, encoder, source, tmp_path):
    whole = extraction.extract(source, tmp_path / "whole")
    expected = _bag(scripts, tmp_path / "whole")
    network, encode = encoder.network, encoder.encode
    network.images = 0

    def interrupted(images):
        if network.images >= 24:
            raise KeyboardInterrupt
        return encode(images)

    encoder.encode = interrupted
    with pytest.raises(KeyboardInterrupt):
        extraction.extract(source, tmp_path)
    encoder.encode = encode
    assert not (tmp_path / "features").exists()
    network.images = 0
    state = extraction.extract(source, tmp_path)
    # 25 tiles were encoded, 20 of them kept: two parts of two batches of five
    assert network.images == 48 - 20
    assert (state.status, state.attempts, state.tiles) == ("done", 1, whole.tiles)
    np.testing.assert_array_equal(_bag(scripts, tmp_path).features, expected.features)
    np.testing.assert_array_equal(_bag(scripts, tmp_path).coords, expected.coords)
    network.images = 0
    extraction.extract(source, tmp_path)
    assert network.images == 0


def test_interruptions_after_progress_do_not_count_against_a_slide(scripts, extraction, encoder, source, tmp_path):
    encode, network = encoder.encode, encoder.network

    def interrupted(images):
        if network.images >= 10:
            raise KeyboardInterrupt
        return encode(images)

    encoder.encode = interrupted
    for _ in range(4):  # each adds a part of ten tiles, one more than the attempts that a slide has
        network.images = 0
        with pytest.raises(KeyboardInterrupt):
            extraction.extract(source, tmp_path)
    encoder.encode = encode
    state = extraction.extract(source, tmp_path)
    assert (state.status, state.tiles) == ("done", 48)


def test_parts_of_other_settings_are_not_used(scripts, extraction, encoder, source, tmp_path):
    parts = scripts("slide_state").FeatureParts(tmp_path, "s1", "another key")
    parts.add(4, np.zeros((20, 6), np.float16), np.zeros((20, 2), np.int64), np.zeros(20, np.float32), [])
    extraction.extract(source, tmp_path)
    assert encoder.network.images == 48
    assert _bag(scripts, tmp_path).features.all()


def test_a_damaged_last_part_is_read_again(scripts, extraction, source, tmp_path):
    state_module = scripts("slide_state")
    parts = state_module.FeatureParts(tmp_path, "s1", "key")
    for number in (2, 4):
        parts.add(number, np.ones((3, 6), np.float16), np.ones((3, 2), np.int64), np.zeros(3, np.float32), [])
    (parts.folder / "part-00000000.npz").unlink()
    again = state_module.FeatureParts(tmp_path, "s1", "key")
    assert (again.next_batch, again.tiles) == (0, 0)


def test_changed_settings_or_slides_are_done_anew(scripts, extraction, encoder, source, tmp_path, write_stained):
    extraction.extract(source, tmp_path)
    encoder.network.images = 0
    replace(extraction, tile_size=128).extract(source, tmp_path)
    assert encoder.network.images == 12
    write_stained(source.path, colour=(170, 90, 150), seed=1)
    extraction.extract(source, tmp_path)
    assert _bag(scripts, tmp_path).features[0, 0] == pytest.approx(170 / 255, abs=0.02)


def test_broken_tiles_are_told_and_left_out(scripts, extraction, source, tmp_path, spoil_tiles):
    spoil_tiles(source.path, [(1, 1)])
    state = replace(extraction, broken_share=0.5).extract(source, tmp_path)
    places = {(tile.x, tile.y) for tile in state.broken}
    assert places == {(x, y) for x in range(256, 512, 64) for y in range(256, 512, 64)}
    assert all("cannot be decoded" in tile.reason for tile in state.broken)
    first = state.broken[0]
    told = f"16 of 48 tiles cannot be read, the first at x {first.x}, y {first.y}: {first.reason}"
    assert state.unreadable.startswith(told)
    bag = _bag(scripts, tmp_path)
    assert (state.status, state.tiles, len(bag.features)) == ("done", 32, 32)
    assert not places & set(map(tuple, bag.coords.tolist()))
    with scripts("slide").Slide(source.path) as slide:
        x, y = bag.coords[-1]
        tile = slide.read_tile(x, y, slide.tile_geometry(64, 0.5)) / 255
    np.testing.assert_allclose(bag.features[-1, :3], tile.mean(axis=(0, 1)), atol=1e-3)
    # the state remembers them
    assert scripts("slide_state").SlideState.read(tmp_path, "s1", state.key).broken == state.broken


def test_too_many_broken_tiles_fail_the_slide(extraction, source, tmp_path, spoil_tiles):
    spoil_tiles(source.path, [(1, 1)])
    state = extraction.extract(source, tmp_path)
    assert state.status == "failed"
    assert "tiles or more of 48 cannot be read" in state.reason


def test_a_slide_that_cannot_be_used_does_not_end_the_run(scripts, extraction, source, tmp_path, write_stained):
    slide = scripts("source_slide").SourceSlide
    cut = tmp_path / "slides" / "cut.tif"
    cut.write_bytes(source.path.read_bytes()[:5000])
    glass = write_stained(tmp_path / "slides" / "glass.tif", rectangle=(0, 0, 0, 0))
    unscaled = write_stained(tmp_path / "slides" / "unscaled.tif", mpp=None)
    slides = [slide("cut", cut, "a", 0), slide("glass", glass, "b", 0), slide("unscaled", unscaled, "c", 0), source]
    processes = scripts("work_division").Processes()
    states = extraction.extract_all(slides, tmp_path, processes, progress=False)
    assert [state.status for state in states] == ["failed"] * 3 + ["done"]
    assert "not a slide" in states[0].reason
    assert "no tissue" in states[1].reason
    assert "µm per pixel" in states[2].reason


def test_two_slides_of_one_name_are_refused_before_either_is_read(scripts, extraction, source, tmp_path):
    other = replace(source, path=source.path.with_suffix(".tiff"))
    with pytest.raises(DataError, match=r"the name 's1' is that of .*s1\.tif and .*s1\.tiff; rename or take out"):
        extraction.extract_all([source, other], tmp_path, scripts("work_division").Processes(), progress=False)
    assert not (tmp_path / "features").exists()


def test_a_slide_that_kills_the_process_is_given_up(scripts, extraction, source, tmp_path):
    state = extraction.extract(source, tmp_path)
    state.status, state.attempts = "running", 3
    state.write(tmp_path)
    again = extraction.extract(source, tmp_path)
    assert again.status == "failed"
    assert "ended 3 times" in again.reason


def test_tile_labels_follow_the_annotation(scripts, extraction, source, tmp_path):
    annotations = scripts("annotations")
    square = np.array([[128, 128], [288, 128], [288, 256], [128, 256]], dtype=float)
    annotations.write_asap(tmp_path / "s1.xml", annotations.Annotation((annotations.Outline("_0", "_0", square),)))
    extraction.extract(replace(source, label=1, annotation=tmp_path / "s1.xml"), tmp_path)
    bag = _bag(scripts, tmp_path)
    share = {tuple(corner): label for corner, label in zip(bag.coords.tolist(), bag.tile_label, strict=True)}
    assert share[128, 128] == share[192, 192] == 1
    assert share[256, 128] == pytest.approx(0.5)
    assert sum(share.values()) * 64**2 == pytest.approx(160 * 128)


@pytest.mark.parametrize(
    ("corner", "reason"),
    [
        ((900, 700), "no outline of tumour lies on any of the 48 tiles with tissue"),
        ((4000, 128), "expected pixels of level 0 of the same slide"),
    ],
)
def test_an_annotation_of_another_slide_is_no_truth(scripts, extraction, source, tmp_path, corner, reason):
    annotations = scripts("annotations")
    square = np.array([[0, 0], [40, 0], [40, 30], [0, 30]], dtype=float) + corner
    annotations.write_asap(tmp_path / "s1.xml", annotations.Annotation((annotations.Outline("_0", "_0", square),)))
    state = extraction.extract(replace(source, label=1, annotation=tmp_path / "s1.xml"), tmp_path)
    assert state.status == "failed"
    assert "s1.xml" in state.reason
    assert reason in state.reason


def test_an_encoder_that_overflows_half_precision_fails_the_slide(extraction, encoder, source, tmp_path):
    encoder.network.weight.data *= 1e6
    state = extraction.extract(source, tmp_path)
    assert state.status == "failed"
    assert "half precision" in state.reason


def test_weights_and_seeds_identify_an_encoder(scripts, tmp_path):
    module = scripts("tile_encoder")

    def build():
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))

    first, same, other = (module.TileEncoder(build, "n", seed=seed) for seed in (0, 0, 1))
    assert first.sha256 == same.sha256 != other.sha256
    torch.save(other.network.state_dict(), tmp_path / "weights.pt")
    loaded = module.TileEncoder(build, "n", weights=tmp_path / "weights.pt")
    assert loaded.sha256 == other.sha256
    images = torch.randint(0, 256, (2, 8, 8, 3), dtype=torch.uint8)
    assert loaded.encode(images).shape == (2, 4)  # feature maps are averaged
    torch.save({"other": torch.zeros(1)}, tmp_path / "weights.pt")
    with pytest.raises(DataError, match="not the weights of Sequential"):
        module.TileEncoder(build, "n", weights=tmp_path / "weights.pt")
    with pytest.raises(DataError, match="no such file"):
        module.TileEncoder(build, "n", weights=tmp_path / "none.pt")


def test_an_encoder_is_named_after_what_makes_it(scripts):
    """Class, arguments and weights: nothing that a person must keep up to date, nothing that differs between runs."""
    module = scripts("tile_encoder")

    def named(seed=0, **arguments):
        return module.TileEncoder(partial(nn.Conv2d, 3, **arguments), seed=seed)

    plain = named(out_channels=4, kernel_size=[3, 3])
    expected = f"torch.nn.modules.conv.Conv2d(3, out_channels=4, kernel_size=[3, 3]), weights {plain.sha256[:12]}"
    assert plain.name == expected == named(out_channels=4, kernel_size=[3, 3]).name
    others = [named(1, out_channels=4, kernel_size=[3, 3]), named(out_channels=4, kernel_size=[3, 3], stride=2)]
    assert len({plain.name, *(other.name for other in others)}) == 3
    assert module.encoder_name(nn.Conv2d(3, 4, 3), "a" * 64) == "torch.nn.modules.conv.Conv2d, weights aaaaaaaaaaaa"
    assert module.TileEncoder(nn.Conv2d(3, 4, 3), "my encoder").name == "my encoder"
    # objects are named, not told by their place in memory
    text = module.encoder_name(
        partial(nn.Sequential, norm=nn.BatchNorm2d, act=nn.ReLU(), of={"a": (1, None)}), "b" * 64
    )
    assert (
        "norm=torch.nn.modules.batchnorm.BatchNorm2d, act=torch.nn.modules.activation.ReLU, of={'a': (1, None)}" in text
    )


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_work_is_divided_without_rest_and_evenly(scripts, world):
    divide = scripts("work_division").divide
    sizes = np.random.default_rng(0).integers(1, 4000, 40).tolist()
    shares = [divide(sizes, rank, world) for rank in range(world)]
    assert sorted(index for share in shares for index in share) == list(range(40))
    loads = [sum(sizes[index] for index in share) for share in shares]
    assert max(loads) <= 4 / 3 * max(sum(sizes) / world, max(sizes))


@pytest.mark.slow
def test_two_processes_of_torchrun(repository, write_stained, tmp_path):
    source = tmp_path / "source"
    rows = []
    for number in range(8):
        write_stained(source / f"s{number}.tif", (512, 384), (64, 64, 448, 320), seed=number)
        rows.append({"slide": f"s{number}.tif", "label": number % 2, "patient": f"p{number}"})
    pd.DataFrame(rows).to_csv(source / "slides.csv", index=False)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29731",
        str(repository / "scripts" / "prepare.py"), "camelyon_attmil", "--source", str(source), "--readers", "0",
        "--tile_size", "64", "--fractions", '{"training": 0.5, "validation": 0.25, "test": 0.25}',
        "--output", str(tmp_path / "two"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    content = read_json(tmp_path / "two" / "datalist.json")
    assert sum(len(content[name]) for name in ("training", "validation", "test")) == 8
    states = [read_json(path) for path in (tmp_path / "two" / "state" / "slides").iterdir()]
    assert [state["attempts"] for state in states] == [1] * 8
    # the same as one process makes
    shutil.rmtree(tmp_path / "one", ignore_errors=True)
    one = [sys.executable, *command[5:-1], str(tmp_path / "one")]
    subprocess.run(one, capture_output=True, check=True, timeout=300)
    assert read_json(tmp_path / "one" / "datalist.json") == content
