"""Small data sets in both source layouts: random cells, every image different."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

REFERENCE_YEAR = 2020


def draw_image(seed: int, size: int = 24) -> np.ndarray:
    """A dark disc on a noisy pale ground, ``(size, size, 3)`` uint8."""
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    image = np.random.default_rng(seed).normal(200, 12, (size, size, 3))
    image[np.hypot(rows, columns) < size / 4] -= 110
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture
def write_source() -> Callable[..., pd.DataFrame]:
    """Write a data set; returns its table. Patient i is tumoral if i is even, and i * 3 + 20 years old."""

    def write(
        folder: Path, layout: str = "clinical", patients: int = 12, images: int = 6, unlabelled: int = 0
    ) -> pd.DataFrame:
        rows = []
        for number in range(patients + unlabelled):
            known = number < patients
            inside = "images" if layout == "clinical" else "trainset" if known else "testset"
            place = folder / inside / f"P{number}"
            place.mkdir(parents=True)
            for index in range(images):
                picture = Image.fromarray(draw_image(1000 * number + index))
                picture.save(place / f"{index:06d}.jpg", quality=95)
            label, sex, age, count = (number + 1) % 2 if known else -1, "MF"[number % 2], 20 + 3 * number, 4.5 + number
            if layout == "clinical":
                rows.append((f"P{number}", label if known else "", sex, age, count, images))
            else:
                birth = f"{1 + number % 28:02d}{'/-'[number % 2]}07{'/-'[number % 2]}{REFERENCE_YEAR - age}"
                rows.append((number, f"P{number}", label, sex.lower(), birth, count))
        if layout == "clinical":
            columns = ["id", "label", "sex", "age_years", "lymphocyte_count_e9_per_l", "n_images"]
            file = folder / "clinical.csv"
        else:
            columns = ["", "ID", "LABEL", "GENDER", "DOB", "LYMPH_COUNT"]
            file = folder / "clinical_annotation.csv"
        table = pd.DataFrame(rows, columns=columns)
        table.to_csv(file, index=False)
        return table

    return write
