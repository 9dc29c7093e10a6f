"""Other builds of an LLM or an encoder: near ones are told and measured, and others are refused with what differs."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from auralign.files import hash_path, hash_value
from auralign.models.builds import (
    RECORD,
    compare_bases,
    describe_builds,
    read_record,
    relative_difference,
    write_record,
)
from auralign.models.encoders import load_whisper
from auralign.models.identity import IGNORED, fields_of
from auralign.models.llm import load_llm


@pytest.fixture(scope="session")
def folders(make_llm, whisper_folder):
    return {"llm": make_llm("llama"), "encoder": whisper_folder}


def load(folders):
    llm, encoder = load_llm(folders["llm"]), load_whisper(folders["encoder"])
    return SimpleNamespace(llm=llm, encoder=encoder, branches={}, other_builds={})


@pytest.fixture(scope="session")
def trained(folders, tmp_path_factory):
    """The revisions of a model, and the file with its record."""
    model, path = load(folders), tmp_path_factory.mktemp("record") / RECORD
    write_record(model, path)
    return {"llm": model.llm.revision, "encoder": model.encoder.fingerprint}, path


def test_a_record_of_other_bases_is_replaced(folders, trained, tmp_path):
    """A training that was killed before its first checkpoint may be begun again with another LLM."""
    llm = rebuild(folders["llm"], tmp_path / "llm", lambda tensor: tensor.bfloat16())
    path = shutil.copy(trained[1], tmp_path / RECORD)
    write_record(load({**folders, "llm": llm}), path)
    assert read_record(path)["llm"][0]["dtypes"] == ["BF16"]


def rebuild(folder, copy, change):
    """A copy of a folder, its floating tensors changed."""
    shutil.copytree(folder, copy)
    tensors = load_file(copy / "model.safetensors")
    tensors = {
        name: change(tensor) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()
    }
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    return copy


def compare(folders, trained, **options):
    model = load(folders)
    recorded, path = trained
    return compare_bases(recorded, model, options.pop("path", path), what="a run", **options), model


def test_a_record_is_small(trained):
    assert trained[1].stat().st_size < 100_000


def test_a_build_in_another_dtype_is_told_measured_and_recorded(folders, trained, tmp_path, capsys):
    other = {
        name: rebuild(folder, tmp_path / name, lambda tensor: tensor.bfloat16())
        for name, folder in folders.items()
    }
    found, model = compare(other, trained)
    assert set(found) == {"llm", "encoder"}
    assert 0 < found["llm"]["embeddings"] < 0.01
    assert 0 < found["llm"]["logits"] < 0.05
    assert 0 < found["encoder"]["frames"] < 0.05
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "another build" in lines[0]
    assert "stored in BF16, was F32" in lines[0]
    assert describe_builds(model)["other_builds"]["llm"]["trained_with"] == trained[0]["llm"]


def test_another_model_of_the_architecture_is_refused(folders, trained, tmp_path, capsys):
    torch.manual_seed(5)
    llm = rebuild(folders["llm"], tmp_path / "llm", lambda tensor: 0.2 * torch.randn_like(tensor))
    with pytest.raises(
        ValueError, match=r"a run: was trained with LLM .* not another build of the same one: embeddings"
    ):
        compare({**folders, "llm": llm}, trained)


def test_another_build_is_refused_if_the_very_weights_are_needed(folders, trained, tmp_path):
    llm = rebuild(folders["llm"], tmp_path / "llm", lambda tensor: tensor.bfloat16())
    with pytest.raises(
        ValueError, match=r"other weights\); for an export, give the one that it was trained with"
    ):
        compare({**folders, "llm": llm}, trained, exact="an export")


def test_without_a_record_only_the_very_weights_are_accepted(folders, trained, tmp_path):
    llm = rebuild(folders["llm"], tmp_path / "llm", lambda tensor: tensor.bfloat16())
    assert compare(folders, trained, path=tmp_path / "none")[0] == {}
    with pytest.raises(ValueError, match="no bases.safetensors"):
        compare({**folders, "llm": llm}, trained, path=tmp_path / "none")


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def swap_two_tokens(tokenizer):
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["!"], vocabulary["#"] = vocabulary["#"], vocabulary["!"]


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("config.json", lambda config: config.update(rms_norm_eps=0.5), r"config rms_norm_eps was .*, is 0.5"),
        ("tokenizer.json", swap_two_tokens, r"the token with id \d+, which is '[!#]' here, was another, as 1 more"),
        ("tokenizer.json", lambda found: found["added_tokens"][0].update(lstrip=True), r"added token \d+ was .*, is .*true"),
        ("tokenizer.json", lambda found: found["model"]["merges"].pop(), r"the merges of the tokenizer"),
    ],
    ids=["config", "token", "flag", "merges"],
)  # fmt: skip
def test_a_difference_of_the_interface_is_named(folders, trained, tmp_path, name, change, told):
    copy = shutil.copytree(folders["llm"], tmp_path / "llm")
    edit(copy / name, change)
    with pytest.raises(ValueError, match=told):
        compare({**folders, "llm": copy}, trained)


def test_another_feature_extraction_is_named(folders, trained, tmp_path):
    copy = shutil.copytree(folders["encoder"], tmp_path / "encoder")
    edit(copy / "preprocessor_config.json", lambda found: found.update(n_fft=512))
    with pytest.raises(ValueError, match=r"trained with encoder .*feature extraction n_fft was .*, is 512"):
        compare({**folders, "encoder": copy}, trained)


def test_fields_that_no_class_reads_change_nothing(folders, trained, tmp_path):
    copy = shutil.copytree(folders["llm"], tmp_path / "llm")
    edit(
        copy / "config.json",
        lambda config: config.update(
            {
                "is_llama_config": True,
                "transformers.js_config": {},
                "torch_dtype": "bfloat16",
                "use_cache": False,
            }
        ),
    )
    assert compare({**folders, "llm": copy}, trained)[0] == {}


def test_fields_of_a_configuration_within_another_count_in_the_same_way():
    part = {"model_type": "text", "hidden_size": 8, "dtype": None}

    def of(**changes):
        return fields_of({"text_config": part | changes}, {"text_config": part}, IGNORED)

    assert of(dtype="bfloat16", use_cache=False, of_a_later_transformers=1) == of()
    assert of(hidden_size=16) == {"text_config": {"hidden_size": 16, "model_type": "text"}}


def test_revisions_of_an_earlier_auralign_are_accepted(folders, trained):
    earlier = {
        "llm": hash_path(folders["llm"])[:16],
        "encoder": hash_value([hash_path(folders["encoder"]), "true_length", "float32"]),
    }
    assert compare(folders, (earlier, trained[1]))[0] == {}
    with pytest.raises(ValueError, match="was trained with LLM 0000"):
        compare(folders, ({"llm": "0" * 16}, trained[1]))


def test_an_encoder_is_known_without_its_decoder_and_its_card(folders, trained, tmp_path):
    copy = shutil.copytree(folders["encoder"], tmp_path / "encoder")
    (copy / "README.md").write_text("another card")
    tensors = load_file(copy / "model.safetensors")
    name = next(name for name in tensors if "decoder" in name)
    tensors[name] = tensors[name] + 1
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    assert load_whisper(copy).fingerprint == trained[0]["encoder"]


def test_a_difference_is_relative_to_the_row_and_the_largest_counts():
    before = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    now = torch.tensor([[3.0, 4.5], [0.0, 1.0]])
    assert relative_difference(before, now) == pytest.approx(0.5)
    assert relative_difference(before, before / 0) == float("inf")
