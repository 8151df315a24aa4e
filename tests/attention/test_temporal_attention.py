"""Attention over time: a slow reference, PyTorch's own, masks, windows, maps, memory, and errors a user can mend."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import harness_attention
from harness.errors import ConfigError
from harness.registry import Registry
from harness_attention.temporal import DualAttention, FrameAttention, GlobalAttention, LocalAttention
from harness_attention.windowed import SMALLEST_BLOCK, banded_attention

REGISTRY = Registry("tests")
harness_attention.harness_register(REGISTRY)
C = 16
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("global", {}),
    ("local", {"window": 2}),
    ("local", {"window": 50}),
    ("dual", {"window": 2}),
    ("dual", {"window": 2, "fusion": "gate"}),
    ("dual", {"window": 2, "fusion": "sum"}),
]
every_variant = pytest.mark.parametrize(
    ("name", "options"), VARIANTS, ids=lambda v: v if isinstance(v, str) else "-".join(map(str, v.values()))
)


def build(name: str, channels: int = C, **options: Any) -> Any:
    """A block in double precision whose biases are not zero."""
    torch.manual_seed(0)
    block: nn.Module = REGISTRY.build("attention", name, channels, **{"heads": 4, **options})
    for parameter in block.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter, std=0.3)
    return block.double().eval()


def video(*lengths: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Random frames [B, longest, C] with numbers under padding too, and the mask."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(len(lengths), max(lengths), C, generator=generator, dtype=torch.float64)
    return x, torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]


def slow(part: FrameAttention, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """(result [B, T, C], mean weights [B, T, T]) of one attention, frame by frame, as the formula stands."""
    out, maps = torch.zeros_like(x), torch.zeros(*x.shape[:2], x.shape[1], dtype=x.dtype)
    d = x.shape[-1] // part.heads
    for b in range(x.shape[0]):
        real = mask[b].nonzero().flatten().tolist()
        q, k, v = (x[b] @ part.qkv.weight.T + part.qkv.bias).chunk(3, dim=-1)
        for t in real:
            seen = [s for s in real if part.window is None or abs(t - s) <= part.window]
            heads = []
            for h in range(part.heads):
                at = slice(h * d, (h + 1) * d)
                weights = torch.stack([q[t, at] @ k[s, at] / math.sqrt(d) for s in seen]).softmax(0)
                heads.append(sum(w * v[s, at] for w, s in zip(weights, seen, strict=True)))
                for w, s in zip(weights, seen, strict=True):
                    maps[b, t, s] += w / part.heads
            out[b, t] = torch.cat(heads) @ part.out.weight.T + part.out.bias
    return out, maps


def reference(block: nn.Module, x: Tensor, mask: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """(y, maps) of a block from the formulas of its docstring."""
    if isinstance(block, DualAttention):
        (near, local), (far, whole) = slow(block.near, x, mask), slow(block.far, x, mask)
        mixed = block.fuse(torch.cat([near, far], -1)) if block.fusion != "sum" else near + far
        if block.fusion == "gate":
            mixed = mixed.sigmoid() * near + (1 - mixed.sigmoid()) * far
        maps = {"local": local, "global": whole}
    else:
        assert isinstance(block, GlobalAttention | LocalAttention)
        mixed, weights = slow(block.attend, x, mask)
        maps = {"global" if isinstance(block, GlobalAttention) else "local": weights}
    return torch.where(mask[..., None], x + mixed, 0), maps


# values


@every_variant
@pytest.mark.parametrize("training", [False, True])
@torch.no_grad()
def test_every_block_is_its_formula(name: str, options: dict[str, Any], training: bool) -> None:
    block = build(name, **options).train(training)
    x, mask = video(9, 4, 1)
    y, maps = reference(block, x, mask)
    torch.testing.assert_close(block(x, mask), y, rtol=1e-9, atol=1e-9)
    given = block.maps(x, mask)
    assert given.keys() == maps.keys()
    for key, weights in given.items():
        assert weights.dtype == torch.float32
        torch.testing.assert_close(weights, maps[key].float(), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(weights.sum(-1), mask.float())


@pytest.mark.parametrize("masked", [False, True])
def test_global_attention_is_that_of_pytorch_with_the_same_weights(masked: bool) -> None:
    block = build("global")
    theirs = nn.MultiheadAttention(C, 4, batch_first=True, dtype=torch.float64).eval()
    weights = block.attend.qkv.state_dict(prefix="in_proj_") | block.attend.out.state_dict(prefix="out_proj.")
    theirs.load_state_dict(weights)
    x, mask = video(40, 17) if masked else (video(40)[0], None)
    expected, attention = theirs(x, x, x, key_padding_mask=None if mask is None else ~mask)
    real = torch.ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
    torch.testing.assert_close(block(x, mask)[real], (x + expected)[real], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(block.maps(x, mask)["global"][real], attention[real].float(), rtol=1e-5, atol=1e-6)


def test_weights_start_as_those_of_pytorch() -> None:
    torch.manual_seed(0)
    block = REGISTRY.build("attention", "global", 64)
    theirs = nn.MultiheadAttention(64, 8)
    assert torch.equal(block.attend.qkv.bias, theirs.in_proj_bias)
    assert torch.equal(block.attend.out.bias, theirs.out_proj.bias)
    assert block.attend.qkv.weight.abs().max() <= math.sqrt(6 / (4 * 64))
    torch.testing.assert_close(block.attend.qkv.weight.std(), theirs.in_proj_weight.std(), rtol=0.05, atol=0.0)


@pytest.mark.parametrize("window", [1, 3, 31, 32, 33, 40, 99, 100, 1000])
@pytest.mark.parametrize("frames", [1, 2, 31, 32, 33, 64, 100])
def test_the_band_in_blocks_is_the_masked_whole(window: int, frames: int) -> None:
    generator = torch.Generator().manual_seed(window * frames)
    q, k, v = torch.randn(3, 2, frames, 4, 8, generator=generator)
    mask = torch.rand(2, frames, generator=generator) < 0.8
    at = torch.arange(frames)
    visible = ((at[:, None] - at).abs() <= window) & mask[:, None, None]
    scores = q.transpose(1, 2) @ k.transpose(1, 2).mT / math.sqrt(8)
    whole = (scores.masked_fill(~visible, -torch.inf).softmax(-1) @ v.transpose(1, 2)).transpose(1, 2)
    got = banded_attention(q, k, v, mask, window)
    torch.testing.assert_close(got[mask], whole[mask], rtol=1e-6, atol=1e-6)
    assert got.isfinite().all()
    everything = banded_attention(q, k, v, None, window)
    assert torch.equal(everything, banded_attention(q, k, v, torch.ones_like(mask), window))


def test_a_change_beyond_the_window_changes_nothing_and_one_within_it_does() -> None:
    block = build("local", window=3)
    x, _ = video(2 * SMALLEST_BLOCK + 9)
    for at in (0, 30, SMALLEST_BLOCK, x.shape[1] - 1):
        changed = x.clone()
        changed[0, at] += 100
        moved = (block(changed) != block(x)).any(-1)[0]
        assert moved.nonzero().flatten().tolist() == list(range(max(0, at - 3), min(x.shape[1], at + 4)))


def test_a_window_over_all_frames_is_global_attention() -> None:
    near, far = build("local", window=39), build("global")
    near.load_state_dict(far.state_dict())
    x, mask = video(40, 25)
    torch.testing.assert_close(near(x, mask), far(x, mask), rtol=1e-9, atol=1e-9)


@every_variant
@torch.no_grad()
def test_maps_times_values_are_what_forward_adds(name: str, options: dict[str, Any]) -> None:
    block = build(name, **options, heads=1)
    x, mask = video(12, 7)
    maps = block.maps(x, mask)
    parts = {"local": block.near, "global": block.far} if name == "dual" else {name: block.attend}
    assert maps.keys() == parts.keys()
    x = torch.where(mask[..., None], x, 0)
    added = {key: part.out(maps[key].double() @ part.qkv(x).chunk(3, -1)[2]) for key, part in parts.items()}
    mixed = block._fused(added["local"], added["global"]) if name == "dual" else added[name]
    torch.testing.assert_close(block(x, mask), (x + mixed) * mask[..., None], rtol=1e-5, atol=1e-5)


# masks


@every_variant
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("garbage", [torch.nan, torch.inf, 1e300])
def test_nothing_under_padding_reaches_a_real_frame_or_a_gradient(
    name: str, options: dict[str, Any], training: bool, garbage: float
) -> None:
    x, mask = video(9, 4, 0)
    mask[0, 3] = False  # a gap within a video
    results = []
    for fill in (0.0, garbage):
        block = build(name, **options).train(training)
        leaf = x.masked_fill(~mask[..., None], fill).requires_grad_()
        y = block(leaf, mask)
        y.square().sum().backward()
        results.append([y.detach(), leaf.grad, *(p.grad for p in block.parameters())])
        assert torch.equal(y[~mask], torch.zeros_like(y[~mask]))
        assert torch.equal(leaf.grad[~mask], torch.zeros_like(y[~mask]))
    for clean, dirty in zip(*results, strict=True):
        assert clean.isfinite().all()
        assert torch.equal(clean, dirty)


@every_variant
def test_a_batch_gives_what_each_video_gives_alone(name: str, options: dict[str, Any]) -> None:
    block = build(name, **options)
    x, mask = video(50, 33, 1)
    together, maps = block(x, mask), block.maps(x, mask)
    for i, n in enumerate((50, 33, 1)):
        torch.testing.assert_close(together[i : i + 1, :n], block(x[i : i + 1, :n]), rtol=1e-9, atol=1e-9)
        for key, weights in block.maps(x[i : i + 1, :n]).items():
            torch.testing.assert_close(maps[key][i : i + 1, :n, :n], weights, rtol=1e-5, atol=1e-6)


@every_variant
def test_an_item_that_is_all_padding_gives_zeros(name: str, options: dict[str, Any]) -> None:
    block = build(name, **options)
    x, mask = video(5, 5)
    mask[:] = False
    assert torch.equal(block(x, mask), torch.zeros_like(x))
    assert all(torch.equal(m, torch.zeros(2, 5, 5)) for m in block.maps(x, mask).values())


@every_variant
def test_one_frame_looks_at_itself(name: str, options: dict[str, Any]) -> None:
    block = build(name, **options)
    x, _ = video(1)
    y, _ = reference(block, x, torch.ones(1, 1, dtype=torch.bool))
    torch.testing.assert_close(block(x), y, rtol=1e-9, atol=1e-9)
    assert all(torch.equal(m, torch.ones(1, 1, 1)) for m in block.maps(x).values())


@every_variant
def test_a_mask_that_hides_nothing_is_no_mask_in_evaluation(
    name: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    block, (x, mask) = build(name, **options), video(8, 8)
    assert torch.equal(block(x, mask), block(x))
    given: list[Tensor | None] = []
    real = nn.functional.scaled_dot_product_attention

    def watched(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, *rest: Any) -> Tensor:
        given.append(attn_mask)
        return real(q, k, v, attn_mask, *rest)

    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", watched)
    block(x, mask)
    assert sum(m is None for m in given) == (name != "local")


# gradients, types, state


@every_variant
def test_gradients_are_those_of_finite_differences(name: str, options: dict[str, Any]) -> None:
    block = build(name, 4, **options, heads=2)
    x, mask = video(6, 3)
    leaf = x[..., :4].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: block(z, mask), (leaf,))


@every_variant
def test_every_parameter_gets_a_gradient(name: str, options: dict[str, Any]) -> None:
    block = build(name, **options).train()
    block(*video(9, 4)).square().mean().backward()
    for key, parameter in block.named_parameters():
        assert parameter.grad.abs().max() > 1e-6, key


@every_variant
def test_training_runs_under_bf16_autocast(name: str, options: dict[str, Any]) -> None:
    block = build(name, **options).float()
    x, mask = video(40, 9)
    expected = copy.deepcopy(block)(x.float(), mask)
    leaf = x.float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = block.train()(leaf, mask)
        maps = block.maps(leaf, mask)
    y.float().square().mean().backward()
    assert all(p.grad.isfinite().all() for p in (leaf, *block.parameters()))
    torch.testing.assert_close(y.float(), expected, rtol=0.05, atol=0.05)
    for weights in maps.values():
        assert weights.dtype == torch.float32
        torch.testing.assert_close(weights.sum(-1), mask.float())


@every_variant
def test_dropout_acts_in_training_alone(name: str, options: dict[str, Any]) -> None:
    block, plain = build(name, **options, dropout=0.5), build(name, **options)
    x, mask = video(9, 4)
    assert torch.equal(block(x, mask), plain(x, mask))
    block.train()
    assert not torch.equal(block(x, mask), block(x, mask))
    assert torch.equal(block.maps(x, mask).popitem()[1], plain.maps(x, mask).popitem()[1])


@every_variant
def test_a_stored_block_loads_into_a_fresh_one(name: str, options: dict[str, Any]) -> None:
    block = build(name, **options)
    fresh = REGISTRY.build("attention", name, C, **{"heads": 4, **options}).double().eval()
    x, mask = video(9, 4)
    assert not torch.equal(block(x, mask), fresh(x, mask))
    fresh.load_state_dict(block.state_dict(), strict=True)
    assert torch.equal(block(x, mask), fresh(x, mask))


@every_variant
@torch.no_grad()
def test_a_compiled_block_is_one_graph_with_equal_values(name: str, options: dict[str, Any]) -> None:
    block = build(name, **options)
    compiled = torch.compile(block, backend="eager", fullgraph=True)
    for lengths in ((40, 21), (7, 3), (70, 70)):
        x, mask = video(*lengths)
        torch.testing.assert_close(compiled(x, mask), block(x, mask), rtol=1e-9, atol=1e-9)


@every_variant
def test_an_exported_block_gives_equal_values(name: str, options: dict[str, Any]) -> None:
    block = build(name, **options)
    program = torch.export.export(block, video(40, 21)).module()
    x, mask = video(40, 5, seed=2)
    torch.testing.assert_close(program(x, mask), block(x, mask), rtol=1e-9, atol=1e-9)


# size


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("global", {}, 1_050_624),
        ("local", {}, 1_050_624),
        ("dual", {}, 2 * 1_050_624 + 524_800),
        ("dual", {"fusion": "gate"}, 2 * 1_050_624 + 524_800),
        ("dual", {"fusion": "sum"}, 2 * 1_050_624),
    ],
)
def test_parameters_for_512_channels(name: str, options: dict[str, Any], parameters: int) -> None:
    block = REGISTRY.build("attention", name, 512, **options)
    assert sum(p.numel() for p in block.parameters()) == parameters


@pytest.mark.parametrize("real", [7200, 7190])
@pytest.mark.parametrize("name", ["global", "local", "dual"])
def test_an_hour_of_frames_needs_no_square_of_them(name: str, real: int) -> None:
    # One T x T matrix of float32 would be 207 MB, and there are eight heads. A process of its own: its peak is its own.
    code = f"""
import resource, torch, harness_attention
from harness.registry import Registry
r = Registry("x"); harness_attention.harness_register(r)
block = r.build("attention", "{name}", 512).eval()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
x, mask = torch.randn(1, 7200, 512), torch.arange(7200)[None] < {real}
with torch.no_grad():
    block(x[:, :64], mask[:, :64]); block(x[:, :64], mask[:, -64:])
    before = peak(); y = block(x, mask)
assert y.isfinite().all()
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 190  # MB; about 75 to 120


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@every_variant
def test_backward_on_cuda_is_not_refused_and_repeats_to_the_bit(
    monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, Any]
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    block = build(name, **options).float().cuda().train()
    x, mask = (part.cuda() for part in video(300, 120))
    torch.use_deterministic_algorithms(True)
    try:
        gradients = []
        for _ in range(3):
            leaf = x.float().requires_grad_()
            gradients.append(torch.autograd.grad(block(leaf, mask).square().sum(), [leaf, *block.parameters()]))
    finally:
        torch.use_deterministic_algorithms(False)
    for other in gradients[1:]:
        assert all(torch.equal(a, b) for a, b in zip(gradients[0], other, strict=True))


# options


@pytest.mark.parametrize(
    ("name", "channels", "options", "words"),
    [
        ("global", 0, {}, ["'global'", "channels is 0"]),
        ("local", -8, {}, ["'local'", "channels is -8"]),
        ("dual", 0, {}, ["'dual'", "channels is 0"]),
        ("global", 16, {"heads": 0}, ["'global'", "heads is 0"]),
        ("local", 16, {"heads": 3}, ["'local'", "heads is 3", "16 channels", "divides"]),
        ("dual", 12, {}, ["'dual'", "heads is 8", "12 channels"]),
        ("local", 16, {"window": 0}, ["'local'", "window is 0", "at least 1"]),
        ("dual", 16, {"window": -1}, ["'dual'", "window is -1"]),
        ("global", 16, {"dropout": 1.0}, ["'global'", "dropout is 1", "below 1"]),
        ("local", 16, {"dropout": -0.1}, ["'local'", "dropout is -0.1"]),
        ("dual", 16, {"dropout": math.nan}, ["'dual'", "dropout is nan"]),
        ("dual", 16, {"fusion": "mean"}, ["'dual'", "fusion is 'mean'", "concat, gate, sum"]),
    ],
)
def test_bad_options_are_errors_that_name_block_option_and_remedy(
    name: str, channels: int, options: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        REGISTRY.get("attention", name).load()(channels, **options)
    assert caught.value.hint
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("global", {"heads": 8, "dropout": 0.0}),
        ("local", {"window": 8, "heads": 8, "dropout": 0.0}),
        ("dual", {"window": 8, "heads": 8, "dropout": 0.0, "fusion": "concat"}),
    ],
)
def test_options_and_defaults_are_the_documented_ones(name: str, options: dict[str, Any]) -> None:
    component = REGISTRY.get("attention", name)
    assert {o.name: o.default for o in component.options()} == options
    assert not list(component.mistakes(options))
    assert component.load().domain == "temporal"


def test_these_variants_cover_every_block_over_time_that_is_registered() -> None:
    over_time = {c.name for c in REGISTRY.components("attention") if c.load().domain == "temporal"}
    assert {name for name, _ in VARIANTS} == over_time
