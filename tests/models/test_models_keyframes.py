"""Models that score the frames of a video: parts, masks, attention over time, maps, freezing, and the control."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from harness.contracts import IO, Spec
from harness.errors import ConfigError, DataError
from harness_attention.se import SqueezeExcitation
from harness_models.frame_mlp import FrameMlp
from harness_models.keyframes import KeyframeTransformer
from harness_models.positions import Positions, sinusoids

FEATURES = 12
SMALL = {"dim": 16, "layers": 2, "heads": 4, "hidden": 24, "score_hidden": 8}
FRAMES = {"backbone": "test_resnet", "pretrained": False, "chunk": 4}


class Mean(nn.Module):
    """Every frame gets a projection of the mean over real frames; keeps the contract of a temporal block."""

    def __init__(self, channels):
        super().__init__()
        self.mix = nn.Linear(channels, channels)
        self.had_mask = None

    def forward(self, x, mask):
        self.had_mask = mask is not None
        real = torch.ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
        mixed = torch.where(real[..., None], self.mix(self.maps(x, mask)["mean"] @ x), 0)
        return (x + mixed) * real[..., None]

    def maps(self, x, mask):
        real = torch.ones(x.shape[:2]) if mask is None else mask.float()
        return {"mean": (real / real.sum(1, keepdim=True).clamp(min=1))[:, None].expand(-1, x.shape[1], -1)}


@pytest.fixture
def means(gates):
    gates.domain, gates.make = "temporal", Mean
    return gates


def _io(form="features", size=32):
    spec = {
        "features": Spec("TK", (None, FEATURES), "float32", rate=2.0),
        "inputs": Spec("TCHW", (None, 3, size, size), "uint8", scaled=False, rate=2.0),
    }
    return IO({form: spec[form], "mask": Spec("T", (None,), "bool")}, {"logits": Spec("T", (None,), "float32")})


def _model(form="features", kind=KeyframeTransformer, seed=0, attention=None, placement="residual", **options):
    torch.manual_seed(seed)
    given = (SMALL if kind is KeyframeTransformer else {"dim": 16, "hidden": 8}) | options
    model = kind(_io(form), **given, **(FRAMES if form == "inputs" else {}))
    if attention is not None:
        model.attach(attention, placement)
    return model.eval()


def _batch(form="features", lengths=(7,), seed=1):
    """Random videos of these lengths, padded with zeros; the mask is there where lengths differ."""
    generator = torch.Generator().manual_seed(seed)
    longest = max(lengths)
    if form == "features":
        x = torch.randn(len(lengths), longest, FEATURES, generator=generator)
    else:
        x = torch.randint(0, 256, (len(lengths), longest, 3, 32, 32), dtype=torch.uint8, generator=generator)
    mask = torch.arange(longest)[None] < torch.tensor(lengths)[:, None]
    x[~mask] = 0
    return {form: x, "mask": mask}


def _count(module):
    return sum(p.numel() for p in module.parameters())


BOTH = pytest.mark.parametrize("kind", [KeyframeTransformer, FrameMlp])
FORMS = pytest.mark.parametrize("form", ["features", "inputs"])


# parts


def test_the_parts_have_the_parameters_that_are_known_for_these_sizes():
    io = IO({"features": Spec("TK", (None, 2048), "float32")}, {"logits": Spec("T", (None,), "float32")})
    model = KeyframeTransformer(io)
    assert _count(model.encoder) == 9_457_152
    assert _count(model.project) == 1_049_088
    assert _count(model.score) == 131_585
    assert _count(model) == 9_457_152 + 1_049_088 + 131_585
    assert _count(FrameMlp(io)) == 1_312_257


@pytest.mark.parametrize("norm_first", [False, True])
def test_the_encoder_is_that_of_pytorch(norm_first):
    model = _model(norm_first=norm_first, positional="none")
    layer = nn.TransformerEncoderLayer(16, 4, 24, 0.1, batch_first=True, norm_first=norm_first)
    reference = nn.TransformerEncoder(layer, 2, nn.LayerNorm(16) if norm_first else None, enable_nested_tensor=False)
    reference.layers.load_state_dict(model.encoder.state_dict())
    reference.eval()
    batch = _batch(lengths=(7, 5))
    encoded = reference(model.project(batch["features"]), src_key_padding_mask=~batch["mask"])
    expected = model.score(encoded).squeeze(-1).masked_fill(~batch["mask"], 0)
    torch.testing.assert_close(model(batch)["logits"], expected, rtol=1e-5, atol=1e-6)


def test_layers_start_from_weights_of_their_own():
    first, second = _model().encoder
    assert not torch.equal(first.linear1.weight, second.linear1.weight)


def test_sinusoids_are_those_of_the_paper():
    table = sinusoids(50, 7)
    for t in (0, 1, 49):
        for i in range(7):
            angle = t / 10_000 ** (2 * (i // 2) / 7)
            assert float(table[t, i]) == pytest.approx(math.cos(angle) if i % 2 else math.sin(angle), abs=1e-5)


@pytest.mark.parametrize("positional", ["sinusoidal", "learned", "none"])
def test_the_order_of_frames_counts_only_where_positions_are_given(positional):
    model = _model(positional=positional)
    batch = _batch()
    turned = {"features": batch["features"].flip(1), "mask": batch["mask"]}
    same = torch.allclose(model(turned)["logits"].flip(1), model(batch)["logits"], atol=1e-5)
    assert same == (positional == "none")


def test_learned_positions_end_and_say_so():
    positions = Positions(4, "learned")
    assert positions(torch.zeros(1, 2048, 4)).shape == (1, 2048, 4)
    with pytest.raises(DataError, match="2049 sampled frames") as caught:
        positions(torch.zeros(1, 2049, 4))
    assert "sinusoidal" in str(caught.value.hint)


# inputs


@BOTH
def test_logits_of_frames_are_those_of_their_cached_features(kind):
    model = _model("inputs", kind)
    batch = _batch("inputs", (6, 3))
    group, key, out = model.prefix()
    assert (group, key, out) == ("backbone", "inputs", "features")
    front = model.groups()[group]
    features = front(batch[key].flatten(0, 1)).unflatten(0, (2, 6))
    cached = model({out: features, "mask": batch["mask"]})["logits"]
    torch.testing.assert_close(cached, model(batch)["logits"], rtol=1e-5, atol=1e-5)


@BOTH
def test_frames_may_come_as_bytes_or_as_floats(kind):
    model = _model("inputs", kind)
    batch = _batch("inputs", (5,))
    floats = batch | {"inputs": batch["inputs"].float() / 255}
    torch.testing.assert_close(model(floats)["logits"], model(batch)["logits"], rtol=1e-5, atol=1e-5)


@BOTH
def test_with_features_there_is_no_backbone_and_that_is_said(kind):
    model = _model(kind=kind)
    assert model.prefix() is None
    assert model.backbone is None
    assert "no backbone" in model.notes[0]
    assert "backbone" not in model.groups()
    assert model.marks == ()


@BOTH
def test_a_random_backbone_is_marked(kind):
    model = _model("inputs", kind)
    assert model.marks == ("random backbone",)
    assert any("random weights" in note for note in model.notes)


@BOTH
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "net.pth"}, "the dataset gives features"),
        ({"weights_by": "order"}, "weights_by is 'order', and there is no file"),
        ({"dropout": 1.0}, "dropout is 1"),
        ({"dim": 0}, "dim is 0"),
        ({"hidden": 0}, "hidden is 0"),
        ({"chunk": 0}, "chunk is 0"),
    ],
)
def test_options_that_mean_nothing_here_are_refused(kind, options, message):
    with pytest.raises(ConfigError, match=message):
        kind(_io(), **options)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ConfigError, match="dim is 16, and heads is 5"):
        _model(heads=5)


@BOTH
@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ({"inputs": Spec("CHW", (3, 8, 8), "uint8")}, None, "'CHW'"),
        ({"inputs": Spec("TCHW", (None, 1, 8, 8), "uint8")}, None, "three channels"),
        ({"inputs": Spec("TCHW", (None, 3, None, 8), "uint8")}, None, "a fixed size"),
        ({}, None, "there are none"),
        ({"features": Spec("TK", (None, None), "float32")}, None, "fixed number"),
        ({"features": Spec("TK", (None, 4), "float32")}, {"logits": Spec("K", (10,), "float32")}, "axes 'K'"),
        ({"features": Spec("TK", (None, 4), "float32")}, {}, "asked for: nothing"),
    ],
)
def test_inputs_and_outputs_of_another_task_are_refused(kind, inputs, outputs, message):
    outputs = {"logits": Spec("T", (None,), "float32")} if outputs is None else outputs
    with pytest.raises(ConfigError, match=message):
        kind(IO(inputs, outputs), pretrained=False)


# masks


@FORMS
@pytest.mark.parametrize("training", [False, True])
def test_what_stands_under_padding_changes_no_real_frame(form, training, means):
    model = _model(form, attention=means, dropout=0.0).train(training)
    batch = _batch(form, (7, 4, 0))
    garbage = batch | {form: batch[form].clone()}
    garbage[form][~batch["mask"]] = 255 if form == "inputs" else torch.nan
    clean, dirty = model(batch)["logits"], model(garbage)["logits"]
    assert torch.equal(clean, dirty)
    assert torch.equal(clean[~batch["mask"]], torch.zeros(10))
    assert clean.isfinite().all()


def test_no_number_under_padding_reaches_a_gradient(means):
    model = _model("inputs", attention=means).train()
    batch = _batch("inputs", (4, 2))
    batch["inputs"] = batch["inputs"].float() / 255
    batch["inputs"][~batch["mask"]] = torch.nan
    model(batch)["logits"].sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert model.backbone.net.conv1[0].weight.grad.abs().max() > 0


@BOTH
@FORMS
def test_a_batch_of_two_lengths_gives_what_each_video_gives_alone(kind, form, means):
    model = _model(form, kind, attention=means if kind is KeyframeTransformer else None)
    batch = _batch(form, (9, 4))
    together = model(batch)["logits"]
    for i, length in enumerate((9, 4)):
        alone = model({form: batch[form][i : i + 1, :length]})["logits"]
        torch.testing.assert_close(together[i : i + 1, :length], alone, rtol=1e-5, atol=1e-5)


def test_padding_reaches_no_batch_norm():
    model = _model("inputs").train()
    other = copy.deepcopy(model)
    batch = _batch("inputs", (4, 2))
    model(batch)
    other({"inputs": torch.cat([batch["inputs"][0, :4], batch["inputs"][1, :2]])[None]})
    for (name, ours), theirs in zip(model.backbone.named_buffers(), other.backbone.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


@pytest.mark.parametrize("length", [1, 2000])
def test_videos_of_one_frame_and_of_two_thousand_are_scored(length, means):
    model = _model(attention=means)
    with torch.no_grad():
        logits = model(_batch(lengths=(length,)))["logits"]
    assert logits.shape == (1, length)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


def test_a_video_without_padding_takes_no_mask_to_its_layers(means):
    model = _model(attention=means)
    given = []
    model.encoder[0].self_attn.register_forward_pre_hook(
        lambda m, args, kwargs: given.append(kwargs["key_padding_mask"]), with_kwargs=True
    )
    block = model.sites["temporal"].attention
    model(_batch())
    assert given == [None]
    assert block.had_mask is False
    model(_batch(lengths=(7, 3)))
    assert given[1] is not None
    assert block.had_mask is True


def test_one_call_gives_the_same_bits_twice():
    model = _model("inputs")
    batch = _batch("inputs", (6, 3))
    assert torch.equal(model(batch)["logits"], model(batch)["logits"])


# attention


@pytest.mark.parametrize("form", ["features", "inputs"])
@pytest.mark.parametrize("placement", ["residual", "block", "stage", ["temporal"], ["encoder.*", "temporal"]], ids=str)
def test_weights_of_equal_name_are_equal_with_and_without_attention(form, placement, means):
    plain, model = _model(form), _model(form, attention=means, placement=placement)
    ours, theirs = model.state_dict(), plain.state_dict()
    assert set(theirs) < set(ours)
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)
    assert all(name.startswith("sites.") and ".attention." in name for name in set(ours) - set(theirs))


@pytest.mark.parametrize(
    ("placement", "sites"),
    [
        ("residual", ["temporal"]),
        ("block", ["temporal"]),
        ("stage", ["temporal"]),
        (["temporal", "encoder.0"], ["encoder.0", "temporal"]),
        (["encoder.*"], ["encoder.0", "encoder.1"]),
    ],
    ids=str,
)
def test_every_word_is_the_one_site_behind_the_encoder_and_a_list_names_layers(placement, sites, means):
    model = _model()
    assert list(model.attach(means, placement)) == sites
    assert means.asked == [(site, 16) for site in sites]
    assert model.placement_note in model.notes


def test_a_block_reads_what_its_layer_gives_out(means):
    plain = _model()
    model = _model(attention=means, placement=["encoder.0"])
    heard = {}
    model.sites["encoder_0"].attention.register_forward_pre_hook(lambda m, args: heard.update(x=args[0]))
    plain.encoder[0].register_forward_hook(lambda m, args, out: heard.update(expected=out.transpose(0, 1)))
    model(_batch())
    plain(_batch())
    assert torch.equal(heard["x"], heard["expected"])
    assert not torch.equal(model(_batch())["logits"], plain(_batch())["logits"])


@pytest.mark.parametrize(
    ("placement", "message", "hint"),
    [
        ("temporal", "unknown placement 'temporal'", "residual"),
        (["encoder.2"], "no site 'encoder.2'", "did you mean 'encoder"),
        (["layer4"], "no site 'layer4'", ""),
        ([], "empty list", "attention: none"),
    ],
)
def test_a_place_that_is_not_there_is_refused(placement, message, hint, means):
    model = _model()
    with pytest.raises(ConfigError) as caught:
        model.attach(means, placement)
    assert message in caught.value.message
    assert hint in str(caught.value.hint)
    assert len(model.sites) == 0


def test_attention_for_images_is_refused_and_so_is_a_second_block(gates, means):
    model = _model(attention=means)
    with pytest.raises(ConfigError, match="'temporal' is taken"):
        model.attach(means, "stage")
    gates.domain, gates.make = SqueezeExcitation.domain, SqueezeExcitation
    with pytest.raises(ConfigError, match=r"takes temporal attention, and this block is for domain 'image'") as caught:
        _model().attach(gates, "residual")
    assert "[B, T, C]" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["local", "global", "dual"])
@FORMS
def test_the_blocks_of_this_program_fit(name, form):
    from harness.registry import Registry
    from harness_attention import harness_register

    registry = Registry("ablation-harness")
    harness_register(registry)
    if name not in registry.names("attention"):
        pytest.skip(f"there is no attention '{name}'")

    class Built:
        domain = registry.get("attention", name).load().domain

        def __call__(self, channels, /, *, site=""):
            return registry.build("attention", name, channels)

    model = _model(form, attention=Built())
    batch = _batch(form, (9, 4))
    output = model(batch | {"explain": torch.tensor([True, False])})
    for i, length in enumerate((9, 4)):
        alone = model({form: batch[form][i : i + 1, :length]})["logits"]
        torch.testing.assert_close(output["logits"][i : i + 1, :length], alone, rtol=1e-5, atol=1e-5)
    wanted = {"local", "global"} if name == "dual" else {name}
    assert {key for key in output if key.startswith("map_")} == {"map_encoder", *(f"map_{n}" for n in wanted)}
    for key in output.keys() - {"logits"}:
        torch.testing.assert_close(output[key].sum(-1), batch["mask"].float())


def test_a_copy_runs_its_own_attention_and_its_own_backbone(means):
    model = _model("inputs", attention=means)
    batch = _batch("inputs", (4, 3))
    before = model(batch)["logits"]
    average = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in average.parameters():
            parameter.mul_(0.5)
    assert torch.equal(model(batch)["logits"], before)
    assert not torch.allclose(average(batch)["logits"], before)
    assert average.groups()["backbone"] is average.backbone
    assert average.backbone is not model.backbone


@BOTH
def test_weights_survive_a_round_trip_through_the_state_dict(kind, means):
    model, other = (_model("inputs", kind, seed) for seed in (0, 1))
    if kind is KeyframeTransformer:
        model.attach(means, "residual")
        other.attach(means, "residual")
    batch = _batch("inputs", (4, 3))
    assert not torch.equal(model(batch)["logits"], other(batch)["logits"])
    other.load_state_dict(model.state_dict())
    assert torch.equal(model(batch)["logits"], other(batch)["logits"])


# maps


@pytest.mark.parametrize("norm_first", [False, True])
def test_maps_are_the_attention_of_the_last_layer_and_of_the_block(norm_first, means):
    model = _model(attention=means, norm_first=norm_first)
    batch = _batch(lengths=(6, 4)) | {"explain": torch.tensor([False, True])}
    output = model(batch)
    assert set(output) == {"logits", "map_encoder", "map_mean"}
    for key in ("map_encoder", "map_mean"):
        assert output[key].shape == (2, 6, 6)
        assert output[key].dtype == torch.float32
        torch.testing.assert_close(output[key].sum(-1), batch["mask"].float())
        assert not output[key][1, :, 4:].any()
    heard = {}
    model.encoder[1].register_forward_pre_hook(lambda m, args: heard.update(x=args[0]))
    model(batch)
    layer = model.encoder[1]
    x = layer.norm1(heard["x"]) if norm_first else heard["x"]
    query, key, _ = (x @ layer.self_attn.in_proj_weight.T + layer.self_attn.in_proj_bias).transpose(0, 1).chunk(3, -1)
    query, key = (v.unflatten(-1, (4, 4)).transpose(1, 2) for v in (query, key))
    scores = (query @ key.transpose(-1, -2) / 2).masked_fill(~batch["mask"][:, None, None], -torch.inf)
    expected = scores.softmax(-1).mean(1) * batch["mask"][..., None]
    torch.testing.assert_close(output["map_encoder"], expected)


def test_maps_are_made_only_when_asked_for_in_evaluation_and_of_videos_not_too_long(means):
    model = _model(attention=means)
    asked = {"explain": torch.tensor([True])}
    assert set(model(_batch())) == {"logits"}
    assert set(model(_batch() | {"explain": torch.tensor([False])})) == {"logits"}
    assert set(model.train()(_batch() | asked)) == {"logits"}
    with torch.no_grad():
        assert set(model.eval()(_batch(lengths=(2049,)) | asked)) == {"logits"}


def test_asking_for_maps_changes_no_logit(means):
    model = _model(attention=means)
    batch = _batch(lengths=(6, 4))
    explained = model(batch | {"explain": torch.tensor([True, True])})
    assert torch.equal(explained["logits"], model(batch)["logits"])


# groups


@BOTH
def test_groups_split_the_model_into_backbone_and_head(kind, means):
    model = _model("inputs", kind, attention=means if kind is KeyframeTransformer else None)
    groups = model.groups()
    parts = {name: {id(p) for p in group.parameters()} for name, group in groups.items()}
    assert not parts["backbone"] & parts["head"]
    assert parts["backbone"] | parts["head"] == {id(p) for p in model.parameters()}
    stages = [name for name in groups if name.startswith("backbone.")]
    assert stages == [f"backbone.layer{i}" for i in range(1, 5)]
    assert all(parts[name] < parts["backbone"] for name in stages)
    assert ("attention" in groups) == (kind is KeyframeTransformer)
    assert parts.get("attention", set()) <= parts["head"]


def test_a_frozen_backbone_leaves_gradients_to_the_head_alone(means):
    model = _model("inputs", attention=means)
    model.groups()["backbone"].requires_grad_(False)
    model(_batch("inputs", (4, 2)))["logits"].sum().backward()
    assert all(p.grad is None for p in model.backbone.parameters())
    assert all(p.grad is not None for p in model.groups()["head"].parameters())


# the control


def test_the_model_of_time_names_its_control_and_both_share_their_groups():
    assert KeyframeTransformer.control == "frame_mlp"
    assert not hasattr(FrameMlp, "control")
    assert set(_model("inputs").groups()) == set(_model("inputs", FrameMlp).groups())


@FORMS
def test_the_control_sees_every_frame_alone(form):
    model = _model(form, FrameMlp)
    batch = _batch(form, (6,))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    logits = model(batch)["logits"]
    turned = model({form: batch[form][:, order]})["logits"]
    torch.testing.assert_close(turned, logits[:, order], rtol=1e-5, atol=1e-5)
    changed = batch | {form: batch[form].clone()}
    changed[form][:, 2] = 1
    away = (model(changed)["logits"] - logits).abs() > 1e-5
    assert away.nonzero().tolist() == [[0, 2]]


def test_the_control_has_no_place_for_attention(means):
    with pytest.raises(ConfigError, match="no place for temporal attention"):
        _model(kind=FrameMlp).attach(means, "residual")


# programs that read the model


@BOTH
@FORMS
def test_an_exported_model_gives_equal_logits(kind, form, means):
    model = _model(form, kind, attention=means if kind is KeyframeTransformer else None)
    batch = _batch(form, (6, 4))
    program = torch.export.export(model, (batch,))
    torch.testing.assert_close(program.module()(batch)["logits"], model(batch)["logits"], rtol=1e-5, atol=1e-5)


@FORMS
def test_a_compiled_model_is_one_graph_with_equal_logits(form, means):
    model = _model(form, attention=means)
    batch = _batch(form, (6, 4))
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(batch)["logits"], model(batch)["logits"], rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf"
)  # dynamo's own, at a graph break
def test_compiled_training_keeps_padding_out_of_the_batch_norm_of_the_backbone(means):
    eager = _model("inputs", attention=means).train()
    batch = _batch("inputs", (6, 2))
    other = copy.deepcopy(eager)
    compiled = torch.compile(other, backend="eager")
    found = []
    for model in (eager, compiled):
        torch.manual_seed(0)
        found.append(model(batch)["logits"])
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)
    pairs = zip(eager.named_buffers(), other.named_buffers(), strict=True)
    assert sum("running_mean" in name for name, _ in eager.named_buffers())
    for (name, ours), (_, theirs) in pairs:
        torch.testing.assert_close(ours, theirs, msg=name)
