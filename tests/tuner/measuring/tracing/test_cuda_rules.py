"""What operations on fake tensors do while they stand for those of a card."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from tuner.measuring.tracing.attention import choose_kernel, work_space_bytes
from tuner.measuring.tracing.cuda_rules import cuda_rules
from tuner.measuring.tracing.recorder import Recorder

ATEN = torch.ops.aten


def heads(number=4, width=8, dtype=torch.float32, length=20):
    """Make queries, keys or values."""
    return torch.empty(2, number, length, width, dtype=dtype, requires_grad=True)


def half(**options):
    """Make them in half precision."""
    return heads(dtype=torch.bfloat16, **options)


@pytest.mark.parametrize(
    ("query", "key", "masked", "preferred", "kernel"),
    [
        (half(), half(), False, "auto", "flash"),
        (half(), half(), True, "auto", "efficient"),
        (half(), half(number=2), False, "auto", "flash"),
        (half(), half(number=2), True, "auto", "math"),
        (half(width=264), half(width=264), False, "auto", "efficient"),
        (half(), half(), False, "efficient", "efficient"),
        (half(), half(), False, "math", "math"),
        (heads(), heads(), False, "auto", "efficient"),
        (heads(width=6), heads(width=6), False, "auto", "math"),
        (heads(), heads(), False, "flash", "math"),
    ],
)
def test_the_kernel_follows_dtype_mask_and_heads(query, key, masked, preferred, kernel):
    """Flash wants half precision and no mask; efficient wants whole heads and aligned rows."""
    mask = torch.ones(20, 20, dtype=torch.bool) if masked else None
    assert choose_kernel(query, key, key, mask, preferred) == kernel


def recorded(compute, *, attention="auto"):
    """Run something on fake tensors under the rules, and say what stays alive of it."""
    mode, recorder = FakeTensorMode(allow_non_fake_inputs=True), Recorder(is_cuda=True)
    with mode, recorder, cuda_rules(attention):
        kept = compute(recorder)
        return kept, recorder.live_bytes


@pytest.mark.parametrize("kernel", ["auto", "math"])
def test_fused_attention_keeps_rows_and_the_formula_keeps_scores(kernel):
    """Efficient attention keeps its output and one number per row; the formula all weights."""
    length, samples, number = 64, 2, 4

    def attend(recorder):
        query, key, value = (heads(number, 8, length=length) for _ in range(3))
        before = recorder.live_bytes
        result = functional.scaled_dot_product_attention(query, key, value)
        return result, recorder.live_bytes - before

    (result, kept), _ = recorded(attend, attention=kernel)
    assert result.shape == (samples, number, length, 8)
    rows, scores = 4 * samples * number * length, 4 * samples * number * length**2
    if kernel == "auto":
        assert kept < 8 * rows + rows + 64
    else:
        assert kept > scores


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("width", [8, 12])
@pytest.mark.parametrize("groups", [1, 2])
def test_every_attention_has_a_backward_pass(dtype, masked, width, groups):
    """Masks, odd widths and grouped keys give gradients of the right shapes."""

    def attend(recorder):
        query, key, value = (heads(n, width, dtype) for n in (4, 4 // groups, 4 // groups))
        mask = torch.ones(1, 1, 20, 20, dtype=torch.bool) if masked else None
        result = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, enable_gqa=groups > 1
        )
        result.float().sum().backward()
        return result, query, key, value

    (result, *inputs), _ = recorded(attend)
    assert result.shape == (2, 4, 20, width)
    assert [t.grad.shape for t in inputs] == [t.shape for t in inputs]


def test_backward_kernels_take_work_space():
    """Flash attention sums the query's gradient in float32, by whole tiles."""
    query = half(length=100, width=40)
    backward = ATEN._scaled_dot_product_flash_attention_backward.default
    expected = 4 * 2 * 4 * 128 * (64 + 1)
    assert work_space_bytes(backward, (query, query, query, query)) == expected
    grouped = half(number=2, length=100, width=40)
    copies = 2 * 2 * 4 * 100 * 40 * 2
    assert work_space_bytes(backward, (query, query, grouped, grouped)) == expected + copies
    assert work_space_bytes(ATEN.mm.default, (query, query)) == 0


def test_autocast_casts_as_on_a_card():
    """Products run in half precision; norms, softmax and sums give float32 again."""

    def run(recorder):
        layer, norm = torch.nn.Linear(8, 8), torch.nn.LayerNorm(8)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            product = layer(torch.empty(4, 8))
            return product, norm(product), product.softmax(-1), product.sum(), product.exp()

    kept, _ = recorded(run)
    assert [t.dtype for t in kept] == [torch.bfloat16] + 4 * [torch.float32]


def test_dropout_keeps_a_byte_per_value():
    """A card keeps a mask of bytes where the CPU keeps factors."""

    def drop(recorder):
        values = torch.empty(1000, requires_grad=True)
        before = recorder.live_bytes
        dropped = functional.dropout(values, 0.1)
        return dropped, recorder.live_bytes - before

    (_, kept), _ = recorded(drop)
    assert kept == 4000 + 1000


def test_the_rules_end():
    """Afterwards the process computes as before: real values, and the CPU's own casts."""
    with cuda_rules("auto"):
        pass
    norm, values = torch.nn.LayerNorm(8), torch.randn(2, 4, 6, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert norm(values.bfloat16()).dtype is torch.bfloat16
    attended = functional.scaled_dot_product_attention(values, values, values)
    weights = (values @ values.transpose(-2, -1) / 8**0.5).softmax(-1)
    torch.testing.assert_close(attended, weights @ values)
    assert 0 < int((functional.dropout(torch.ones(1000), 0.5) == 0).sum()) < 1000
