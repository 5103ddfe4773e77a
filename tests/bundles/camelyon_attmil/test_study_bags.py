"""Ragged bags, the readers of the public data sets, and drawing bags of digits."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import torch
from PIL import Image

from shared.data.errors import DataError

RNG = np.random.default_rng(0)


@pytest.fixture
def bags(scripts):
    lengths = [3, 1, 4]
    return scripts("study.bags").Bags(
        torch.arange(16.0).reshape(8, 2),
        torch.tensor(lengths),
        torch.tensor([1, 0, 1]),
        ("a", "b", "c"),
        torch.arange(8) % 3 == 0,
        torch.arange(16.0).reshape(8, 2) + 100,
    )


def test_some_of_the_bags_in_any_order(bags):
    assert bags.rows(torch.tensor([2, 0])).tolist() == [4, 5, 6, 7, 0, 1, 2]
    part = bags.of([2, 1])
    assert part.ids == ("c", "b")
    assert part.lengths.tolist() == [4, 1]
    assert part.labels.tolist() == [1, 0]
    assert part.instances[:, 0].tolist() == [8, 10, 12, 14, 6]
    assert part.truth.tolist() == [False, False, True, False, True]
    assert part.places[:, 1].tolist() == [109, 111, 113, 115, 107]


def test_bags_that_do_not_fit_together_are_refused(scripts):
    make = scripts("study.bags").Bags
    with pytest.raises(ValueError, match="add up to 3, but the batch holds 4"):
        make(torch.zeros(4, 2), torch.tensor([2, 1]), torch.tensor([0, 1]), ("a", "b"))
    with pytest.raises(DataError, match="'labels': 1"):
        make(torch.zeros(3, 2), torch.tensor([2, 1]), torch.tensor([0]), ("a", "b"))


@pytest.fixture
def write_classic(tmp_path):
    def write(**changes):
        owner = RNG.permutation([0, 0, 1, 2, 2, 2, 3])
        train = np.ones((2, 2, 4), dtype=bool)
        train[:, 0, :2] = train[:, 1, 2:] = False
        arrays = {"X": RNG.normal(size=(7, 3)), "bag": owner, "y": np.array([0, 1, 1, 0]), **changes}
        np.savez(tmp_path / "set.npz", **{name: value for name, value in arrays.items() if name != "train"})
        np.savez(tmp_path / "set_folds.npz", train=arrays.get("train", train))
        return arrays

    return write


def test_classical_features_become_bags(scripts, write_classic, tmp_path):
    arrays = write_classic()
    bags, train = scripts("study.bags_data").read_classic(tmp_path, "set")
    assert bags.lengths.tolist() == [2, 1, 3, 1]
    assert bags.labels.tolist() == [0, 1, 1, 0]
    for bag in range(4):
        expected = arrays["X"][arrays["bag"] == bag].astype(np.float32)
        np.testing.assert_array_equal(bags.of([bag]).instances.numpy(), expected)
    assert train.shape == (2, 2, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": np.array([0, 1])}, "expected an index for each instance"),
        ({"X": np.full((7, 3), np.nan)}, "not finite"),
        ({"train": np.ones((2, 2, 4), dtype=bool)}, "each bag left out in one fold of each repeat"),
        ({"train": np.ones((2, 4), dtype=bool)}, "'train' has the shape"),
    ],
)
def test_spoilt_features_are_refused(scripts, write_classic, tmp_path, changes, message):
    write_classic(**changes)
    with pytest.raises(DataError, match=message):
        scripts("study.bags_data").read_classic(tmp_path, "set")


def test_absent_files_and_arrays_are_named(scripts, tmp_path):
    read = scripts("study.bags_data").read_classic
    with pytest.raises(DataError, match=r"set\.npz: no such file"):
        read(tmp_path, "set")
    np.savez(tmp_path / "set.npz", X=np.zeros((1, 1)))
    with pytest.raises(DataError, match="no array bag, y"):
        read(tmp_path, "set")


def write_idx(path, array):
    header = np.array([2049 if array.ndim == 1 else 2051, *array.shape], dtype=">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes()))


def test_mnist_files(scripts, tmp_path):
    read = scripts("study.bags_data").read_mnist
    images, labels = RNG.integers(0, 256, (5, 28, 28), dtype=np.uint8), np.arange(5, dtype=np.uint8)
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", images)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", labels)
    found = read(tmp_path, "test")
    np.testing.assert_array_equal(found[0], images)
    np.testing.assert_array_equal(found[1], labels)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", labels[:4])
    with pytest.raises(DataError, match="found 5 images and 4 labels"):
        read(tmp_path, "test")
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"something else"))
    with pytest.raises(DataError, match="not of MNIST's format"):
        read(tmp_path, "test")
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="cannot be unpacked"):
        read(tmp_path, "test")
    with pytest.raises(DataError, match=r"train-images.*no such file"):
        read(tmp_path, "training")


def test_bags_of_digits(scripts):
    draw = scripts("study.bags_data").draw_mnist_bags
    labels = RNG.integers(0, 10, 3000).astype(np.uint8)
    images = np.repeat(np.arange(3000) % 251, 784).reshape(3000, 28, 28).astype(np.uint8)
    bags = draw((images, labels), 400, 10, 2, seed=3)
    assert bags.instances.shape[1:] == (1, 28, 28)
    assert int(bags.labels.sum()) == 200
    # a bag is positive if and only if it has a nine, and the truth says where
    per_bag = torch.stack([part.any() for part in bags.truth.split(bags.lengths.tolist())])
    assert torch.equal(per_bag, bags.labels == 1)
    sizes = bags.lengths.double()
    assert abs(float(sizes.mean()) - 10) < 4 * 2 / 20
    assert 1.6 < float(sizes.std()) < 2.4
    # a positive bag is a random one that has nines: E[nines | any] = n p / (1 - (1 - p)^n), p a tenth, n about ten
    nines = float(bags.truth.sum()) / 200
    assert abs(nines - 10 * 0.1 / (1 - 0.9**10)) < 0.25
    again, other = draw((images, labels), 400, 10, 2, seed=3), draw((images, labels), 400, 10, 2, seed=4)
    assert torch.equal(again.instances, bags.instances)
    assert not torch.equal(other.lengths, bags.lengths)
    large = draw((images, labels), 20, 100, 20, seed=3)
    assert int(large.labels.sum()) == 10


@pytest.fixture
def write_colon(tmp_path):
    def write(lines):
        (tmp_path / "images").mkdir(exist_ok=True)
        images = {}
        for name in ("img1", "img2"):
            images[name] = RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8)
            Image.fromarray(images[name]).save(tmp_path / "images" / f"{name}.png")
        (tmp_path / "nuclei.csv").write_text("image,x,y,class\n" + "\n".join(lines))
        return images

    return write


def test_patches_are_cut_around_nuclei(scripts, write_colon, tmp_path):
    images = write_colon(
        ["img2,20.7,18.2,others", "img1,30.0,21.9,epithelial", "img2,2.0,39.0,fibroblast", "img1,13,13,inflammatory"]
    )
    bags = scripts("study.bags_data").read_colon(tmp_path, size=5)
    assert bags.ids == ("img1", "img2")
    assert bags.lengths.tolist() == [2, 2]
    assert bags.labels.tolist() == [1, 0]
    assert bags.truth.tolist() == [True, False, False, False]
    np.testing.assert_allclose(bags.places.numpy(), [[30, 21.9], [13, 13], [20.7, 18.2], [2, 39]], rtol=1e-6)
    patches = bags.instances.numpy().transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(patches[0], images["img1"][19:24, 28:33])
    np.testing.assert_array_equal(patches[2], images["img2"][16:21, 18:23])
    # at the border, pixels are mirrored
    np.testing.assert_array_equal(patches[3][:3], images["img2"][37:40, 0:5])
    np.testing.assert_array_equal(patches[3][3:], images["img2"][[38, 37], 0:5])


def test_spoilt_nuclei_are_refused(scripts, write_colon, tmp_path):
    read = scripts("study.bags_data").read_colon
    with pytest.raises(DataError, match=r"nuclei\.csv: no such file"):
        read(tmp_path)
    write_colon(["img1,51.5,10,others"])
    with pytest.raises(DataError, match="1 nuclei lie outside the 50 x 40 pixels"):
        read(tmp_path, size=5)
    write_colon(["img3,5,10,others"])
    with pytest.raises(DataError, match=r"img3\.png: no such image"):
        read(tmp_path, size=5)
    (tmp_path / "nuclei.csv").write_text("image,x,class\nimg1,1,others\n")
    with pytest.raises(DataError, match="no column y"):
        read(tmp_path, size=5)
    write_colon(["img1,5,10,others"])
    Image.fromarray(np.zeros((40, 50), np.uint8)).save(tmp_path / "images" / "img1.png")
    with pytest.raises(DataError, match="its colours are L, expected RGB"):
        read(tmp_path, size=5)
