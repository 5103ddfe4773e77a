"""Max pooling of shifted images against torch's, with gradients, in scripts and traces."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional


@pytest.fixture(scope="module")
def module(bundle_scripts):
    return bundle_scripts("leukocyte_qpi")("shifted_max_pool")


@pytest.mark.parametrize(("kernel", "stride"), [(2, None), (3, 2), (2, 3), (3, 1), (1, 2)])
@pytest.mark.parametrize("size", [(3, 3), (7, 8), (10, 5), (46, 46)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_equals_torch(module, kernel, stride, size, layout, monkeypatch):
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=layout)
    images[0, 0, 0, 0] = float("nan")
    before = images.clone()
    expected = functional.max_pool2d(images, kernel, stride)
    monkeypatch.setattr(functional, "max_pool2d", None)
    with torch.no_grad():
        found = module.ShiftedMaxPool2d(kernel, stride)(images)
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(images, before, rtol=0, atol=0, equal_nan=True)


def test_gradients_are_torchs(module):
    images = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0)).relu().requires_grad_()
    gradients = [
        torch.autograd.grad(pool(images).square().sum(), images)[0]
        for pool in (module.ShiftedMaxPool2d(2), torch.nn.MaxPool2d(2))
    ]
    assert torch.equal(*gradients)
    assert gradients[0].any()


def test_an_image_smaller_than_a_window_is_refused(module):
    with torch.no_grad(), pytest.raises(RuntimeError, match="too small"):
        module.ShiftedMaxPool2d(3)(torch.zeros(1, 1, 2, 5))


def test_scripts_and_traces_hold_the_operator(module):
    pool, images = module.ShiftedMaxPool2d(2), torch.randn(1, 2, 6, 6)
    with torch.no_grad():
        for compiled in (torch.jit.script(pool), torch.jit.trace(pool, images)):
            assert "max_pool2d" in str(compiled.inlined_graph)
            assert torch.equal(compiled(images), functional.max_pool2d(images, 2))
