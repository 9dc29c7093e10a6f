"""The layout of Ultravox: configuration, names of weights, and the projector that they mean."""

import functools
import json

import torch
from safetensors.torch import load_file
from torch.nn import functional

from auralign.hub import resolve
from auralign.models.build import build_model
from auralign.models.connectors import UltravoxProjector
from auralign.models.llm import load_llm
from auralign.publish.native.architectures import ARCHITECTURES
from auralign.publish.native.ultravox import _id_of, write_ultravox


def test_config_and_weights_are_ultravoxs(exported, make_llm, whisper_folder, capsys):
    folder = exported("ultravox", changes={"stride: 2": "stride: 2\n    hidden_width: 24"}).folder
    config = json.loads((folder / "config.json").read_text())
    assert (config["model_type"], config["stack_factor"], config["hidden_size"]) == ("ultravox", 2, 24)
    assert (config["projector_act"], config["projector_ln_mid"]) == ("swiglu", True)
    assert config["text_model_id"] == make_llm("llama").name
    assert config["audio_model_id"] == whisper_folder.name
    assert "write its hub id, or its path, into config.json" in capsys.readouterr().err
    shapes = {name: list(value.shape) for name, value in load_file(folder / "model.safetensors").items()}
    assert shapes == {
        "multi_modal_projector.ln_pre.weight": [32],
        "multi_modal_projector.linear_1.weight": [24, 32],
        "multi_modal_projector.ln_mid.weight": [12],
        "multi_modal_projector.linear_2.weight": [32, 12],
    }


def test_the_ids_of_the_hub_are_written_without_their_revisions(tmp_path, recipe_of):
    recipe = recipe_of("ultravox")
    model, renderer = build_model(recipe)
    ids = {"llm": "org/llm@main", "encoder": "org/ears"}
    write_ultravox(tmp_path, ARCHITECTURES["ultravox"], recipe, model, renderer, ids)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["text_model_id"], config["audio_model_id"]) == ("org/llm", "org/ears")


def test_a_snapshot_of_the_cache_is_named_by_its_id(hub, make_llm):
    hub.add("org/llm", make_llm("llama"))
    made = functools.partial(load_llm, path=str(resolve("org/llm")))
    assert _id_of(made, "text_model_id", None) == "org/llm"


def test_the_projector_normalises_gates_and_normalises():
    torch.manual_seed(0)
    projector = UltravoxProjector(3, 5, stride=2, hidden_width=8)
    frames = torch.randn(1, 5, 3)
    weights = projector.state_dict()

    def norm(x, weight):
        return x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * weight

    stacked = torch.cat([frames, torch.zeros(1, 1, 3)], 1).reshape(1, 3, 6)
    hidden = norm(stacked, weights["ln_pre.weight"]) @ weights["linear_1.weight"].T
    gated = hidden[..., :4] * functional.silu(hidden[..., 4:])
    expected = norm(gated, weights["ln_mid.weight"]) @ weights["linear_2.weight"].T
    embeddings, lengths, _ = projector(frames, torch.tensor([5]))
    torch.testing.assert_close(embeddings, expected)
    assert lengths.tolist() == [3] == [projector.num_embeddings(5)]
    assert set(weights["ln_pre.weight"].tolist()) == {torch.tensor(0.4).item()}
