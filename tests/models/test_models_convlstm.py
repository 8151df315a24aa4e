"""The convolutional LSTM: its equations, its causality, its rollout, its attention."""

from __future__ import annotations

import copy
import runpy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from harness.contracts import IO, Spec
from harness.errors import ConfigError
from harness_attention.se import SqueezeExcitation
from harness_attention.spatial import SpatialAttention
from harness_models import sequence
from harness_models.convlstm import convlstm, convlstm_baseline

SMALL = {"hidden": (4, 3), "kernels": (3, 1)}


def _io(size=8, channels=1, horizon=0, frames=5):
    clip = Spec("TCHW", (frames, channels, size, size), "uint8")
    out = Spec("TCHW", (horizon or frames, channels, size, size), "float32")
    return IO({"inputs": clip}, {"logits": out}, horizon, {"inputs": 0})


def _clip(size=8, channels=1, frames=5, n=2):
    return {"inputs": torch.rand(n, frames, channels, size, size, generator=torch.Generator().manual_seed(1))}


def _model(make=convlstm, horizon=0, channels=1, seed=0, **options):
    torch.manual_seed(seed)
    model = make(_io(horizon=horizon, channels=channels), **(SMALL | options if make is convlstm else options))
    # Peepholes and norms start as constants, behind which a mistake could hide.
    for parameter in model.parameters():
        if parameter.numel() > 1 and bool((parameter == parameter.flatten()[0]).all()):
            nn.init.uniform_(parameter, 0.5, 1.5)
    return model


def _naive_layer(layer, x):
    """Shi et al. 2015, eq. 3, one step after the other; x [B, T, Cin, H, W]."""
    cell = layer.recurrent
    act = torch.tanh if cell.activation == "tanh" else torch.relu
    n, pad = cell.channels, cell.hidden.kernel_size[0] // 2
    h = c = torch.zeros(x.shape[0], n, *x.shape[-2:], dtype=x.dtype)
    outputs = []
    for t in range(x.shape[1]):
        if not cell.gating:
            h = act(cell.input(x[:, t]) + F.conv2d(h, cell.hidden.weight, padding=pad))
        else:
            parts = [slice(k * n, (k + 1) * n) for k in range(4)]
            xs = [F.conv2d(x[:, t], cell.input.weight[p], cell.input.bias[p], padding=pad) for p in parts]
            hs = [F.conv2d(h, cell.hidden.weight[p], padding=pad) for p in parts]
            zi, zf, zo, zg = (a + b for a, b in zip(xs, hs, strict=True))
            w_i, w_f, w_o = (0, 0, 0) if cell.peephole is None else cell.peephole
            i, f = torch.sigmoid(zi + w_i * c), torch.sigmoid(zf + w_f * c)
            c = f * c + i * act(zg)
            h = torch.sigmoid(zo + w_o * c) * act(c)
        outputs.append(h)
    return torch.stack(outputs, 1)


def _naive(model, x, patch=1, padding="causal"):
    """The whole model for the next frame, with PyTorch's own Conv3d as head."""
    x = F.pixel_unshuffle(x, patch)
    for layer in model.layers:
        h = _naive_layer(layer, x)
        x = layer.norm(h.flatten(0, 1)).unflatten(0, h.shape[:2])
    weight = model.head.weight
    if weight.shape[0] == model.head.bias.shape[0]:
        logits = F.conv2d(x.flatten(0, 1), weight, model.head.bias, padding=weight.shape[-1] // 2)
        return F.pixel_shuffle(logits.unflatten(0, x.shape[:2]), patch)
    k = weight.shape[-1]
    taps = weight.unflatten(0, (k, -1)).permute(1, 2, 0, 3, 4)
    sides = (k - 1, 0) if padding == "causal" else (k // 2, k // 2)
    padded = F.pad(x.transpose(1, 2), (0, 0, 0, 0, *sides))
    logits = F.conv3d(padded, taps, model.head.bias, padding=(0, k // 2, k // 2))
    return F.pixel_shuffle(logits.transpose(1, 2), patch)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"gating": False},
        {"peephole": True},
        {"patch": 2},
        {"norm": "none", "head": "conv2d"},
        {"temporal_padding": "same", "head_kernel": 5},
    ],
    ids=str,
)
def test_frames_and_gradients_equal_those_of_the_equations_step_by_step(options, channels_last):
    # In float64, as sums that nearly cancel are rounding alone in float32, and differ with the number of threads.
    model = _model(**options).double()
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    reference, clip = copy.deepcopy(model), _clip()["inputs"].double()
    weighting = torch.linspace(-1, 1, clip.numel()).double().view_as(clip)  # of float32, as logits are
    ours = model({"inputs": clip})["logits"].double()
    theirs = _naive(reference, clip, options.get("patch", 1), options.get("temporal_padding", "causal"))
    torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=1e-5)
    (ours * weighting).sum().backward()
    (theirs * weighting).sum().backward()
    for (name, a), b in zip(model.named_parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-7 * float(b.grad.abs().max()) + 1e-7, rtol=1e-6, msg=name)


def test_the_baseline_equals_the_equations_with_relu():
    model = _model(convlstm_baseline, hidden=4)
    clip = _clip()["inputs"]
    torch.testing.assert_close(model({"inputs": clip})["logits"], _naive(model, clip), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("block", [1, 2**20])
def test_gradients_of_the_sequence_are_those_of_finite_differences(kernel, state, block, monkeypatch):
    monkeypatch.setattr(sequence, "BLOCK_BYTES", block)
    make = torch.Generator().manual_seed(0)

    def random(*shape):
        x = torch.randn(*shape, dtype=torch.float64, generator=make)
        x = x.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else x
        return x.requires_grad_()

    h, c = (random(1, 2, 3, 3), random(1, 2, 3, 3)) if state else (None, None)
    arguments = (random(3, 1, 1, 3, 3), random(8, 1, kernel, kernel), random(8), random(8, 2, kernel, kernel), h, c, 3)
    assert torch.autograd.gradcheck(sequence.GatedSequence.apply, arguments)


@pytest.mark.parametrize("kernel", [1, 3])
def test_the_sequence_takes_a_batch_without_clips(kernel):
    weights = torch.rand(8, 1, kernel, kernel), torch.rand(8), torch.rand(8, 2, kernel, kernel)
    weights = [w.requires_grad_() for w in weights]
    x = torch.rand(3, 0, 1, 4, 4, requires_grad=True)
    hidden, cell = sequence.GatedSequence.apply(x, *weights, None, None, 3)
    assert hidden.shape == (3, 0, 2, 4, 4)
    assert cell.shape == (0, 2, 4, 4)
    hidden.sum().backward()
    assert x.grad.shape == x.shape
    assert all(bool((w.grad == 0).all()) for w in weights)


def test_blocks_of_steps_give_what_the_whole_clip_gives(monkeypatch):
    model, clip = _model(), _clip()
    whole = model(clip)["logits"]
    monkeypatch.setattr(sequence, "BLOCK_BYTES", 2 * 4 * 16 * 2 * 64)
    torch.testing.assert_close(model(clip)["logits"], whole, atol=1e-6, rtol=0)


def test_gradients_can_be_taken_twice_from_one_graph():
    model = _model()
    loss = model(_clip())["logits"].square().mean()
    parameters = list(model.parameters())
    first = torch.autograd.grad(loss, parameters, retain_graph=True)
    second = torch.autograd.grad(loss, parameters)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_parameters_are_those_of_the_keras_example_less_its_moving_statistics():
    model = convlstm_baseline(_io(64))
    trained = sum(p.numel() for p in model.parameters())
    moving = sum(b.numel() for name, b in model.named_buffers() if "running" in name)
    assert trained == 746_433
    assert trained + moving == 746_689
    # a norm behind the third layer as well: a scale and a shift for 64 channels
    assert sum(p.numel() for p in convlstm(_io(64)).parameters()) == 746_433 + 128


def test_peepholes_have_a_weight_a_pixel_and_gates_are_four_times_the_plain_convolution():
    def recurrent(**options):
        model = _model(**options)
        return sum(p.numel() for layer in model.layers for p in layer.recurrent.parameters())

    assert recurrent(peephole=True) - recurrent() == 3 * (4 + 3) * 8 * 8
    assert recurrent(peephole=True, patch=2) - recurrent(patch=2) == 3 * (4 + 3) * 4 * 4
    assert recurrent() == 4 * recurrent(gating=False)


def test_forget_gates_start_with_a_bias_of_one():
    bias = convlstm(_io(), **SMALL).layers[0].recurrent.input.bias.detach()
    assert bias[4:8].tolist() == [1.0] * 4
    assert (bias[:4].abs() < 1).all()


def _changed_outputs(model, frame):
    model.eval()
    clip = _clip()
    other = {"inputs": clip["inputs"].clone()}
    other["inputs"][:, frame] = 0.5
    with torch.no_grad():
        before, after = model(clip), model(other)
    return [t for t in range(5) if not torch.equal(before["logits"][:, t], after["logits"][:, t])]


@pytest.mark.parametrize(
    "options", [{}, {"gating": False}, {"peephole": True}, {"head": "conv2d"}, {"patch": 2}], ids=str
)
def test_no_output_changes_to_the_bit_when_a_later_frame_does(options):
    model = _model(**options)
    for frame in range(5):
        assert _changed_outputs(model, frame) == list(range(frame, 5))


@pytest.mark.parametrize("make", [convlstm, convlstm_baseline])
def test_same_padding_lets_exactly_one_earlier_output_see_a_frame(make):
    options = {} if make is convlstm else {"hidden": 4}
    model = _model(make, temporal_padding="same", **options)
    for frame in range(1, 5):
        assert _changed_outputs(model, frame) == list(range(frame - 1, 5))
    assert any("reads one later frame" in note for note in model.notes)
    assert not _model().notes


@pytest.mark.parametrize(
    "options", [{}, {"gating": False}, {"peephole": True, "head_kernel": 5}, {"patch": 2}], ids=str
)
def test_a_rollout_equals_predictions_fed_back_by_hand(options):
    free = _model(horizon=4, **options).eval()
    step = _model(**options).eval()
    step.load_state_dict({k: v for k, v in free.state_dict().items() if ".fed_" not in k})
    clip = _clip(frames=3)["inputs"]
    with torch.no_grad():
        rolled = free({"inputs": clip})
        for t in range(4):
            out = step({"inputs": clip})
            torch.testing.assert_close(rolled["logits"][:, t], out["logits"][:, -1], atol=2e-6, rtol=1e-5)
            torch.testing.assert_close(rolled["activation"][:, t], out["activation"][:, -1], atol=2e-6, rtol=1e-5)
            clip = torch.cat([clip, out["logits"][:, -1:].sigmoid()], dim=1)


def _statistics(model):
    return {name: value.clone() for name, value in model.named_buffers()}


@pytest.mark.parametrize("compiled", [False, True])
def test_frames_fed_back_leave_the_running_statistics_of_the_given_ones(compiled):
    given, free = _model(), _model(horizon=3)
    first = _statistics(free)
    given(_clip())
    run = torch.compile(free, backend="eager", fullgraph=True) if compiled else free
    run(_clip())["logits"].square().mean().backward()
    after = _statistics(free)
    assert len(after) == 10
    assert all(not torch.equal(after[name], first[name]) for name in after)
    for name, value in _statistics(given).items():
        torch.testing.assert_close(after[name], value, msg=name)
    free(_clip())
    assert all(int(value) == 2 for name, value in free.named_buffers() if "tracked" in name)


def test_frames_fed_back_are_normalised_by_their_own_batch_in_training_and_by_their_own_kind_in_evaluation():
    model = _model(horizon=2)
    calls = []

    def note(module, inputs, output):
        calls.append((inputs[0].detach(), output.detach()))

    model.layers[0].norm.register_forward_hook(note)
    norm = model.layers[0].norm
    for training in (True, False):
        calls.clear()
        model.train(training)(_clip())
        assert [len(x) for x, _ in calls] == [10, 2]  # all frames given of two clips, then one fed back
        x, found = calls[1]
        statistics = (None, None) if training else (norm.fed_mean, norm.fed_var)
        expected = F.batch_norm(x, *statistics, norm.weight, norm.bias, training, eps=norm.eps)
        torch.testing.assert_close(found, expected.detach())
    before = _statistics(model)
    model.train()
    norm.eval()  # as a stage that holds the statistics of batch norm does
    model(_clip())
    kept = {name: value for name, value in _statistics(model).items() if name.startswith("layers.0")}
    assert all(torch.equal(value, before[name]) for name, value in kept.items())


def test_a_rollout_is_trained_through_the_frames_that_it_feeds_back():
    model = _model(horizon=3, norm="none").double()
    clip = _clip(frames=2)["inputs"].double()
    weight = model.layers[0].recurrent.hidden.weight

    def loss():
        return model({"inputs": clip})["logits"][:, -1].square().sum()

    (slope,) = torch.autograd.grad(loss(), weight)
    direction, step = torch.randn_like(weight), 1e-3
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight += sign * step * direction
            values.append(float(loss()))
            weight -= sign * step * direction
    assert (slope * direction).sum().item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-3)


@pytest.mark.parametrize("options", [{}, {"gating": False}, {"temporal_padding": "same"}], ids=str)
def test_a_forecaster_starts_from_the_states_of_the_encoder_and_reads_no_frame(options):
    model = _model(horizon=3, forecaster=True, **options).eval()
    with torch.no_grad():
        output = model(_clip())
        x = _clip()["inputs"].transpose(0, 1)
        states = []
        for layer in model.layers:
            x, _, state = layer(x, None, 5)
            states.append(state)
        hidden = []
        for t in range(3):
            y = None
            for k, layer in enumerate(model.forecaster):
                y, h, states[k] = layer(y, states[k], 1)
            hidden.append((y, h))
            assert torch.allclose(output["activation"][:, t], h[0].abs().mean(1), atol=1e-6)
        logits, _ = model.head.run(torch.cat([y for y, _ in hidden]), None)
    torch.testing.assert_close(output["logits"], logits.transpose(0, 1), atol=2e-6, rtol=1e-5)
    model.train()
    model(_clip())["logits"].square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in model.parameters())


def test_evaluation_alone_shows_the_activation_of_the_last_layer():
    model = _model(patch=2)
    assert set(model(_clip())) == {"logits"}
    shown = model.eval()(_clip())["activation"]
    assert shown.shape == (2, 5, 4, 4)
    with torch.no_grad():
        x = F.pixel_unshuffle(_clip()["inputs"], 2)
        first = _naive_layer(model.layers[0], x)
        x = model.layers[0].norm(first.flatten(0, 1)).unflatten(0, first.shape[:2])
        expected = _naive_layer(model.layers[1], x).abs().mean(2)
    torch.testing.assert_close(shown, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("horizon", [0, 3])
@pytest.mark.parametrize(
    ("placement", "sites"),
    [
        ("residual", ["layers.0", "layers.1"]),
        ("block", ["layers.0", "layers.1"]),
        ("stage", ["layers.1"]),
        (["layers.0"], ["layers.0"]),
        (["layers.*"], ["layers.0", "layers.1"]),
    ],
)
def test_attention_acts_behind_the_norm_and_changes_no_name_or_weight(horizon, placement, sites, gates, times):
    plain, model = _model(horizon=horizon).eval(), _model(horizon=horizon).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert list(model.attach(gates, placement)) == sites
    assert gates.asked == [(site, {"layers.0": 4, "layers.1": 3}[site]) for site in sites]
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    added = set(after) - set(before)
    assert added
    assert all(".attention." in name for name in added)
    assert not torch.allclose(model(_clip())["logits"], plain(_clip())["logits"])

    halved = _model(horizon=horizon).eval()
    halved.attach(times(0.5), placement)
    scaled = _model(horizon=horizon).eval()
    with torch.no_grad():
        for site in sites:
            scaled.get_submodule(site).norm.weight *= 0.5
            scaled.get_submodule(site).norm.bias *= 0.5
    torch.testing.assert_close(halved(_clip())["logits"], scaled(_clip())["logits"], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("make", [SqueezeExcitation, SpatialAttention])
@pytest.mark.parametrize("options", [{}, {"horizon": 3}, {"horizon": 3, "forecaster": True}], ids=str)
def test_image_attention_trains_on_hidden_states_and_keeps_time_apart(make, options, gates):
    gates.make = make
    model = _model(**options)
    sites = model.attach(gates, "residual")
    if options.get("forecaster"):
        assert list(sites) == ["layers.0", "forecaster.0", "forecaster.1"]
    model(_clip())["logits"].square().mean().backward()
    assert all(p.grad is not None for p in model.groups()["attention"].parameters())
    if not options:
        assert _changed_outputs(model, 3) == [3, 4]


def test_groups_split_the_model(gates):
    model = _model(horizon=3, forecaster=True)
    model.attach(gates, "stage")
    groups = model.groups()
    layers = [f"backbone.{stack}.{i}" for stack in ("layers", "forecaster") for i in range(2)]
    assert list(groups) == ["backbone", *layers, "head", "attention"]
    backbone, head = ({id(p) for p in groups[name].parameters()} for name in ("backbone", "head"))
    assert not backbone & head
    assert backbone | head == {id(p) for p in model.parameters()}
    parts = [{id(p) for p in groups[name].parameters()} for name in layers]
    assert set().union(*parts) == backbone
    assert sum(map(len, parts)) == len(backbone)
    assert {id(p) for p in groups["attention"].parameters()} <= parts[-1]
    assert model.prefix() is None


def test_a_copy_runs_its_own_attention(times):
    model = _model().eval()
    model.attach(times(1.0), "block")
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.sites["layers_1"].attention.factor.fill_(0.0)
    assert torch.equal(model(_clip())["logits"], _model().eval()(_clip())["logits"])
    assert not torch.allclose(other(_clip())["logits"], model(_clip())["logits"])


@pytest.mark.parametrize(
    "options", [{}, {"gating": False}, {"peephole": True}, {"horizon": 2, "forecaster": True}], ids=str
)
def test_bfloat16_and_channels_last_train_and_stay_near_float32(options):
    model = _model(**options)
    plain = model(_clip())["logits"]
    model = copy.deepcopy(model).to(memory_format=torch.channels_last)
    torch.testing.assert_close(model(_clip())["logits"], plain, atol=1e-5, rtol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(_clip())["logits"]
    assert logits.dtype == torch.float32
    assert float((logits - plain).detach().abs().mean()) < 0.05 * float(plain.detach().std())
    logits.square().mean().backward()
    assert all(p.grad.dtype == torch.float32 and bool(p.grad.isfinite().all()) for p in model.parameters())


def test_equal_seeds_make_equal_models_and_weights_survive_a_round_trip(tmp_path):
    model, again, other = _model(), _model(), _model(seed=1)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    model(_clip())  # moves the running statistics
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    assert not torch.allclose(other.eval()(_clip())["logits"], model.eval()(_clip())["logits"])
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(other(_clip())["logits"], model(_clip())["logits"])


@pytest.mark.parametrize("options", [{}, {"horizon": 2}], ids=str)
def test_a_traced_graph_gives_equal_frames_and_gradients(options, gates):
    model = _model(**options)
    model.attach(gates, "stage")
    loss = model(_clip())["logits"].square().mean()
    expected = torch.autograd.grad(loss, list(model.parameters()))
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    found = torch.autograd.grad(compiled(_clip())["logits"].square().mean(), list(model.parameters()))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


def test_an_exported_model_keeps_its_attention(gates):
    model = _model().eval()
    model.attach(gates, "residual")
    program = torch.export.export(model, (_clip(),))
    torch.testing.assert_close(program.module()(_clip())["logits"], model(_clip())["logits"], atol=1e-6, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled_code_gives_equal_frames_and_gradients():
    model = _model()
    expected = torch.autograd.grad(model(_clip())["logits"].square().mean(), list(model.parameters()))
    found = torch.autograd.grad(torch.compile(model)(_clip())["logits"].square().mean(), list(model.parameters()))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": ()}, r"hidden is \[\]"),
        ({"hidden": (4, 0)}, r"hidden is \[4, 0\]"),
        ({"hidden": (4, 4, 4), "kernels": (3, 3)}, "makes 3 layers, and kernels .* are 2"),
        ({"kernels": (3, 4)}, "kernels has 4"),
        ({"head_kernel": 2}, "head_kernel has 2"),
        ({"patch": 3}, "patch is 3, and frames are 8x8"),
        ({"patch": 0}, "patch is 0"),
        ({"gating": False, "peephole": True}, "peephole is true and gating is false"),
        ({"forecaster": True}, "next frame only"),
        ({"horizon": 3, "temporal_padding": "same"}, "not been made"),
    ],
)
def test_options_that_do_not_fit_are_refused_with_a_hint(options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        _model(**options)
    assert caught.value.hint


def test_one_kernel_size_serves_all_layers():
    for kernels in (5, (5,)):
        model = _model(hidden=(2, 3, 4), kernels=kernels)
        assert [layer.recurrent.hidden.kernel_size for layer in model.layers] == [(5, 5)] * 3


@pytest.mark.parametrize(
    ("io", "message"),
    [
        (IO({}, {"logits": Spec("TCHW", (4, 1, 8, 8), "float32")}), "there are none"),
        (IO({"inputs": Spec("CHW", (3, 8, 8), "uint8")}, {"logits": Spec("K", (10,), "float32")}), "axes 'CHW'"),
        (IO({"inputs": Spec("TCHW", (4, 1, None, 8), "uint8")}, {}), "fixed frame size"),
        (IO({"inputs": Spec("TCHW", (4, 1, 8, 8), "uint8")}, {"scores": Spec("T", (4,), "float32")}), "scores"),
    ],
)
def test_inputs_and_outputs_of_another_task_are_refused(io, message):
    for make in (convlstm, convlstm_baseline):
        with pytest.raises(ConfigError, match=message):
            make(io)


@pytest.mark.parametrize(
    ("placement", "message"),
    [
        ("residuel", "unknown placement 'residuel'"),
        (["layers.2"], r"no site 'layers\.2'"),
        ([], "empty list"),
    ],
)
def test_a_place_that_is_not_there_is_refused_and_nothing_changes(placement, message, gates):
    model = _model()
    with pytest.raises(ConfigError, match=message) as caught:
        model.attach(gates, placement)
    assert caught.value.hint
    assert len(model.sites) == 0


def test_a_site_takes_one_block_and_no_temporal_one(gates):
    model = _model()
    model.attach(gates, ["layers.0"])
    with pytest.raises(ConfigError, match=r"'layers\.0' is taken"):
        model.attach(gates, "block")
    gates.domain = "temporal"
    with pytest.raises(ConfigError, match="'temporal'"):
        model.attach(gates, "stage")
    assert list(model.sites) == ["layers_0"]


@pytest.fixture
def tf32():
    """Both switches, on for the time of a test; pytest's own patches would delete them afterwards."""
    owners = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [owner.allow_tf32 for owner in owners]
    for owner in owners:
        owner.allow_tf32 = True
    yield owners
    for owner, value in zip(owners, before, strict=True):
        owner.allow_tf32 = value


def test_the_benchmark_computes_in_float32_and_says_so(monkeypatch, capsys, tf32):
    path = Path(__file__).parents[2] / "benchmarks" / "convlstm.py"
    monkeypatch.setattr("sys.argv", [str(path), "--shapes", "--threads", str(torch.get_num_threads())])
    runpy.run_path(str(path), run_name="__main__")
    assert [owner.allow_tf32 for owner in tf32] == [False, False]
    assert "float32 without TF32" in capsys.readouterr().out
