"""Loading an LLM: what is recorded, and what is refused."""

import json
import shutil

import pytest
import torch

from auralign.models.llm import load_llm


def test_revision_is_of_the_model_and_not_of_its_folder(llm_folder, llm, tmp_path):
    copy = shutil.copytree(llm_folder, tmp_path / "another_name")
    (copy / "README.md").write_text("downloaded again")
    assert load_llm(copy).revision == llm.revision


def test_absent_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no LLM at .*absent"):
        load_llm(tmp_path / "absent")


def test_unknown_dtype_is_refused(llm_folder):
    with pytest.raises(ValueError, match="float8"):
        load_llm(llm_folder, dtype="float8")


def test_each_kind_is_tested_on_its_own_class(llm, llm_folder):
    assert llm.model.config.model_type == llm_folder.name.replace("llama3", "llama")


def test_code_of_a_folder_runs_only_when_allowed(llm_folder, tmp_path, capsys):
    folder = shutil.copytree(llm_folder, tmp_path / "custom")
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "homemade",
        "auto_map": {"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text("print('CODE RAN')\nC = M = None\n")
    with pytest.raises(ValueError, match="--trust_remote_code true"):
        load_llm(folder)
    assert "CODE RAN" not in capsys.readouterr().out


def test_attention_can_be_asked_for_and_leaves_other_llms_of_the_folder_as_they_are(make_llm):
    folder = make_llm("llama")
    usual, eager = load_llm(folder), load_llm(folder, attention="eager")
    again = load_llm(folder)
    assert eager.config._attn_implementation == "eager"
    assert usual.config._attn_implementation == again.config._attn_implementation != "eager"
    assert eager.revision == usual.revision  # the same weights: a checkpoint of one fits the other
    embeddings, positions = usual.embed([5, 6, 7]), torch.arange(3)
    with torch.no_grad():
        found, expected = (llm.hidden_states(embeddings, positions) for llm in (eager, usual))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
