import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from sklearn.neighbors import NearestNeighbors
from torch import nn

from shared.data.errors import DataError
from shared.saliency.similar_cases import SimilarCases, image_embedding, nearest_cases


@pytest.fixture
def embeddings():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(7, 5, generator=generator), torch.randn(40, 5, generator=generator)


@pytest.mark.parametrize("chunk_elements", [1, 90, 10**6])
def test_the_nearest_are_those_of_scikit_learn(embeddings, chunk_elements):
    queries, cases = embeddings
    found = nearest_cases(queries, cases, count=4, chunk_elements=chunk_elements)
    expected = NearestNeighbors(n_neighbors=4, metric="cosine", algorithm="brute").fit(cases.numpy())
    distances, places = expected.kneighbors(queries.numpy())
    np.testing.assert_array_equal(found.places, places)
    np.testing.assert_allclose(found.similarity, 1 - distances, atol=1e-6)


def test_lengths_do_not_matter_ties_fall_in_order_and_zero_is_like_nothing():
    cases = torch.tensor([[0.0, 0.0], [0.0, 2.0], [0.0, 9.0], [1.0, 0.0]])
    found = nearest_cases(torch.tensor([[0.0, 5.0], [0.0, 0.0]]), cases, count=9)
    assert found.places.tolist() == [[1, 2, 0, 3], [0, 1, 2, 3]]
    assert found.similarity.tolist() == [[1, 1, 0, 0], [0, 0, 0, 0]]


def test_unusable_embeddings_are_refused(embeddings):
    queries, cases = embeddings
    for wrong in (cases[:0], cases[:, :4], cases[0]):
        with pytest.raises(ValueError, match=r"expected embeddings \(Q, E\)"):
            nearest_cases(queries, wrong)
    with pytest.raises(ValueError, match="finite"):
        nearest_cases(queries, cases / 0)


RECORDS = [{"id": f"case {number}", "label": number % 2} for number in range(12)]


def cases_of(embeddings, **options):
    seen = []

    def embed(items):
        seen.append(len(items))
        return torch.stack(list(items))

    cases = SimilarCases(embeddings, RECORDS, embed, lambda record: "ab"[record["label"]], **options)
    return cases, seen


def test_cases_are_embedded_once_and_in_batches(embeddings):
    queries, cases = embeddings[0], embeddings[1][:12]
    similar, seen = cases_of(cases, count=2, batch_size=5)
    found = similar.of(queries)
    similar.of(queries[:1])
    assert seen == [5, 5, 2, 5, 2, 1]
    expected = nearest_cases(queries, cases, count=2)
    assert [[entry["id"] for entry in entries] for entries in found] == [
        [f"case {place}" for place in places] for places in expected.places
    ]
    assert found[0][0]["similarity"] == pytest.approx(expected.similarity[0, 0])
    assert found[0][0]["label"] == "ab"[int(expected.places[0, 0]) % 2]
    assert not {"image_png", "candidates", "of"} & set(found[0][0])
    assert similar.of([]) == []


def test_it_is_said_when_not_all_training_cases_were_compared(embeddings):
    similar, _ = cases_of(embeddings[1][:12], count=1, candidates=5)
    entry = similar.of(embeddings[0][:1])[0][0]
    assert (entry["candidates"], entry["of"]) == (5, 12)


def test_pictures_are_written_of_the_cases_that_were_found(embeddings):
    queries, cases = embeddings[0][:2], embeddings[1][:12]
    similar, _ = cases_of(cases, count=2)
    written = []

    def write(sample, rank, item):
        written.append((sample, rank, item))
        return f"{sample}-{rank}.png"

    found = similar.of(queries, write)
    assert [entry["image_png"] for entries in found for entry in entries] == [
        "0-0.png",
        "0-1.png",
        "1-0.png",
        "1-1.png",
    ]
    places = nearest_cases(queries, cases, count=2).places
    assert all(torch.equal(item, cases[places[sample, rank]]) for sample, rank, item in written)


def test_of_many_cases_some_are_drawn(embeddings):
    similar, seen = cases_of(embeddings[1][:12], candidates=4, seed=1)
    again, _ = cases_of(embeddings[1][:12], candidates=4, seed=1)
    assert len(set(similar.chosen.tolist())) == 4
    assert similar.chosen.tolist() == again.chosen.tolist()
    similar.of(embeddings[0])
    assert 4 in seen


def test_a_training_section_is_needed():
    with pytest.raises(DataError, match="the training section has no records"):
        SimilarCases([], [], torch.stack, lambda record: None)
    with pytest.raises(ValueError, match="12 records for 2"):
        SimilarCases([0, 1], RECORDS, torch.stack, lambda record: None)


def test_images_are_embedded_in_evaluation_mode():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.dropout = nn.Dropout(0.5)

        def embedding(self, images):
            return self.dropout(images.flatten(1))

    network = Network().train()
    image = torch.rand(1, 3, 3, generator=torch.Generator().manual_seed(0))
    found = image_embedding(network, "cpu")([{"image": MetaTensor(image)}, {"image": image}])
    assert torch.equal(found, image.flatten().expand(2, -1))
    assert type(found) is torch.Tensor
    assert network.training
