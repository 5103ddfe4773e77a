"""Symmetries and colours of a bag's images, and the statistics of equation 19 against NumPy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from shared.data.symmetry import symmetry


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")


@pytest.fixture(scope="module")
def augmentation(scripts):
    return scripts("augmentation")


@pytest.fixture(scope="module")
def patients():
    """Three patients whose colours vary along a direction of their own."""
    generator = np.random.default_rng(0)
    records = []
    for number, images in enumerate((3, 1, 4)):
        brightness = generator.normal(0, 40, (images, 1, 6, 6))
        noise = generator.normal(0, 5, (images, 3, 6, 6))
        values = 120 + brightness * np.array([1.0, 0.5, -0.3])[:, None, None] + noise
        records.append(
            {
                "image": torch.from_numpy(values.clip(0, 255)).byte(),
                "attributes": torch.tensor([50.0 + number, 5.0 * (number + 1)]),
            }
        )
    return records


@pytest.fixture(scope="module")
def statistics(scripts, patients):
    return scripts("input_statistics").InputStatistics.fit(patients)


class TestStatistics:
    def test_principal_components_are_those_of_all_pixels(self, statistics, patients):
        pixels = np.concatenate([p["image"].permute(0, 2, 3, 1).reshape(-1, 3).numpy() for p in patients]) / 255
        pca = PCA().fit(pixels)
        np.testing.assert_allclose(statistics.eigenvalues, pca.explained_variance_ * (1 - 1 / len(pixels)), rtol=1e-4)
        alignment = np.abs(pca.components_ @ statistics.eigenvectors.numpy())
        np.testing.assert_allclose(alignment, np.eye(3), atol=1e-3)

    def test_mean_image_and_attributes(self, statistics, patients):
        images = torch.cat([p["image"] for p in patients]).double() / 255
        torch.testing.assert_close(statistics.mean_image, images.mean(0).float())
        assert statistics.attributes.tolist() == [[50.0, 5.0], [51.0, 10.0], [52.0, 15.0]]

    def test_order_of_the_patients_changes_nothing(self, scripts, statistics, patients):
        again = scripts("input_statistics").InputStatistics.fit(patients[::-1])
        for name in ("mean_image", "eigenvalues", "eigenvectors"):
            assert torch.equal(getattr(again, name), getattr(statistics, name))

    def test_refuses_augmented_images_and_nothing(self, scripts, patients):
        fit = scripts("input_statistics").InputStatistics.fit
        with pytest.raises(ValueError, match="8-bit integers, found torch"):
            fit([{**patients[0], "image": patients[0]["image"].float()}])
        with pytest.raises(ValueError, match="no training patient"):
            fit([])


class TestColour:
    def test_equation_19_written_slowly(self, augmentation, statistics, patients):
        transform = augmentation.RandBagColourd("image", statistics, strength=0.1)
        transform.set_random_state(seed=3)
        bag = patients[0]["image"]
        found = transform({"image": bag, "id": "a"})
        alpha = np.random.RandomState(3).normal(0, 0.1, (len(bag), 3))
        for image in range(len(bag)):
            shift = sum(
                alpha[image, k] * float(statistics.eigenvalues[k]) * statistics.eigenvectors[:, k].numpy()
                for k in range(3)
            )
            for colour in range(3):
                expected = bag[image, colour].numpy() / 255 + shift[colour]
                np.testing.assert_allclose(found["image"][image, colour], expected, atol=1e-6)
        assert found["id"] == "a"
        assert bag.dtype == torch.uint8

    def test_distribution(self, augmentation, statistics):
        """The shifts' covariance is σ² Σ λ² e eᵀ, and every image has its own."""
        transform = augmentation.RandBagColourd("image", statistics, strength=0.5)
        transform.set_random_state(seed=0)
        shifts = transform({"image": torch.zeros(40_000, 3, 1, 1, dtype=torch.uint8)})["image"].flatten(1).numpy()
        weighted = statistics.eigenvectors.numpy() * statistics.eigenvalues.numpy()
        np.testing.assert_allclose(np.cov(shifts.T), 0.25 * weighted @ weighted.T, rtol=0.05, atol=2e-7)

    def test_strength_zero_only_scales(self, augmentation, statistics, patients):
        found = augmentation.RandBagColourd("image", statistics, strength=0.0)(patients[0])["image"]
        torch.testing.assert_close(found, patients[0]["image"] / 255)
        with pytest.raises(ValueError, match="strength"):
            augmentation.RandBagColourd("image", statistics, strength=-1)


class TestSymmetry:
    def test_each_image_by_itself_and_all_alike_for_all_keys(self, augmentation):
        transform = augmentation.RandBagSymmetryd(("image", "truth"))
        transform.set_random_state(seed=0)
        image = torch.arange(27.0).reshape(3, 3, 3)
        bag = image.expand(4000, 3, 3, 3)
        found = transform({"image": bag, "truth": bag + 100, "label": 1})
        assert torch.equal(found["image"] + 100, found["truth"])
        group = torch.stack([symmetry(image, index) for index in range(8)])
        same = (found["image"][:, None] == group).flatten(2).all(-1)  # (4000, 8)
        assert same.sum(1).eq(1).all(), "every image is one of the eight"
        assert (same.sum(0) - 500).abs().max() < 4 * np.sqrt(4000 / 8 * 7 / 8)

    def test_seeded(self, augmentation):
        bag = torch.rand(20, 3, 5, 5)
        results = []
        for _ in range(2):
            transform = augmentation.RandBagSymmetryd("image")
            transform.set_random_state(seed=7)
            results.append(transform({"image": bag})["image"])
        assert torch.equal(*results)
        assert not torch.equal(results[0], bag)


class TestSubset:
    @pytest.fixture
    def record(self):
        return {"image": torch.arange(7)[:, None, None, None].expand(7, 3, 2, 2), "path": list("abcdefg")}

    def drawn(self, augmentation, record, images, seed):
        transform = augmentation.RandBagSubsetd(["image", "path"], images).set_random_state(seed)
        return transform(record)

    def test_keeps_the_same_images_under_all_keys(self, augmentation, record):
        kept = self.drawn(augmentation, record, 3, seed=0)
        assert kept["image"].shape == (3, 3, 2, 2)
        assert kept["path"] == ["abcdefg"[i] for i in kept["image"][:, 0, 0, 0].tolist()]
        assert len(set(kept["path"])) == 3

    def test_each_image_is_kept_equally_often(self, augmentation, record):
        transform = augmentation.RandBagSubsetd("image", 3).set_random_state(0)
        counts = torch.zeros(7)
        for _ in range(2000):
            counts[transform(record)["image"][:, 0, 0, 0]] += 1
        # a count is binomial with a mean of 857 and a standard deviation of 22
        assert ((counts - 2000 * 3 / 7).abs() < 90).all()

    @pytest.mark.parametrize("images", [None, 7, 20])
    def test_a_smaller_bag_stays_whole(self, augmentation, record, images):
        kept = self.drawn(augmentation, record, images, seed=0)
        assert kept["image"] is record["image"]
        assert kept["path"] is record["path"]

    def test_none_at_all_is_refused(self, augmentation):
        with pytest.raises(ValueError, match=r"images must be at least 1.*found 0"):
            augmentation.RandBagSubsetd("image", 0)


class TestShift:
    def test_moves_each_image_by_its_own_shift_and_repeats_the_border(self, augmentation):
        images = torch.rand(6, 3, 9, 9)
        shifted = augmentation.RandBagShiftd("image", 2).set_random_state(0)({"image": images})["image"]
        found = set()
        for image, result in zip(images, shifted, strict=True):
            padded = torch.nn.functional.pad(image[None], (2, 2, 2, 2), mode="replicate")[0]
            windows = {(r, c): padded[:, r : r + 9, c : c + 9] for r in range(5) for c in range(5)}
            matching = [shift for shift, window in windows.items() if torch.equal(window, result)]
            assert len(matching) == 1
            found.add(matching[0])
        assert len(found) > 1

    def test_each_shift_is_equally_likely(self, augmentation):
        column = torch.arange(9).float()
        images = column[None, None, None, :].expand(4000, 1, 9, 9)
        shifted = augmentation.RandBagShiftd("image", 2).set_random_state(0)({"image": images})["image"]
        counts = torch.bincount(shifted[:, 0, 0, 4].long(), minlength=9)
        assert counts[[0, 1, 7, 8]].tolist() == [0, 0, 0, 0]
        # a count is binomial with a mean of 800 and a standard deviation of 25
        assert ((counts[2:7] - 800).abs() < 110).all()

    def test_no_shift_does_nothing(self, augmentation):
        image = torch.rand(2, 3, 4, 4)
        assert augmentation.RandBagShiftd("image")({"image": image})["image"] is image

    def test_a_negative_shift_is_refused(self, augmentation):
        with pytest.raises(ValueError, match="pixels must not be negative"):
            augmentation.RandBagShiftd("image", -1)
