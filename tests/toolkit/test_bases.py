"""The content of a downloaded model: what counts, and what lies in its folder besides."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from auralign.bases import find_source, hash_content, hash_tensors, tell_source
from auralign.constructor import Constructor
from auralign.files import hash_path
from auralign.fingerprint import describe, same


@pytest.fixture
def base(llm_folder, tmp_path):
    return shutil.copytree(llm_folder, tmp_path / "base")


def write(folder, name, text):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def edit(folder, name, **values):
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}, indent=7))


def shard(folder):
    """Write the tensors into two files and an index, as large models are stored."""
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    places = {name: f"model-0000{number % 2 + 1}-of-00002.safetensors" for number, name in enumerate(names)}
    for shard_name in set(places.values()):
        save_file({name: tensors[name] for name in names if places[name] == shard_name}, folder / shard_name)
    write(folder, "model.safetensors.index.json", json.dumps({"weight_map": places}))
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: write(folder, "README.md", "another card"),
        lambda folder: write(folder, ".gitattributes", "*.safetensors filter=lfs"),
        lambda folder: write(folder, ".git/HEAD", "ref: refs/heads/main"),
        lambda folder: write(folder, ".cache/huggingface/download/config.json.metadata", "abc\n1700000000.1"),
        lambda folder: write(folder, "LICENSE", "terms"),
        lambda folder: write(folder, "onnx/model.onnx", "another format"),
        lambda folder: write(folder, "model-q4.gguf", "another format"),
        lambda folder: edit(folder, "config.json", transformers_version="0.0", _name_or_path="elsewhere"),
        lambda folder: edit(folder, "tokenizer.json", truncation=None),
        shard,
    ],
    ids=["card", "attributes", "git", "hub client", "licence", "onnx", "gguf", "version", "form", "shards"],
)
def test_what_is_beside_a_model_does_not_count(base, change):
    before = hash_content(base)
    change(base)
    assert hash_content(base) == before


def change_a_tensor(folder):
    tensors = load_file(folder / "model.safetensors")
    name = min(tensors)
    tensors[name].view(-1)[0] += 1
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        change_a_tensor,
        lambda folder: edit(folder, "config.json", rms_norm_eps=0.5),
        lambda folder: edit(folder, "generation_config.json", eos_token_id=3),
        lambda folder: edit(folder, "tokenizer.json", added_tokens=[]),
        lambda folder: write(folder, "chat_template.jinja", "{{ messages }}"),
        lambda folder: write(folder, "modeling_own.py", "code"),
        lambda folder: write(folder, "ctc_tokens.json", "{}"),
    ],
    ids=["tensor", "config", "stop ids", "tokens", "template", "code", "another file"],
)
def test_what_a_model_is_made_of_counts(base, change):
    before = hash_content(base)
    change(base)
    assert hash_content(base) != before


def test_the_file_that_holds_the_template_does_not_count(base):
    before, template = hash_content(base), (base / "chat_template.jinja").read_text()
    (base / "chat_template.jinja").unlink()
    edit(base, "tokenizer_config.json", chat_template=template)
    assert hash_content(base) == before


def test_the_dtype_in_which_tensors_are_stored_counts(base):
    before = hash_tensors(base)
    tensors = load_file(base / "model.safetensors")
    save_file(
        {name: tensor.to(torch.float64) for name, tensor in tensors.items()}, base / "model.safetensors"
    )
    assert hash_tensors(base) != before


def test_a_folder_that_is_no_model_counts_as_a_whole(tmp_path):
    write(tmp_path, "README.md", "words")
    assert hash_content(tmp_path) == hash_path(tmp_path)


def account(path, **options):
    return describe(Constructor("auralign.models.llm.load_llm", path=str(path), **options))


def test_a_model_that_was_moved_is_the_same_input(base, tmp_path):
    moved = shutil.copytree(base, tmp_path / "moved")
    write(moved, "README.md", "downloaded again")
    assert same(account(base), account(moved))
    assert not same(account(base, dtype="float32"), account(moved, dtype="bfloat16"))
    change_a_tensor(moved)
    assert not same(account(base), account(moved))


def test_the_hash_of_all_files_that_an_earlier_auralign_recorded_is_accepted(base):
    earlier = {**account(base), "content": [hash_path(base)]}
    assert same(earlier, account(base))
    assert not same({**earlier, "content": ["0" * 64]}, account(base))


COMMIT = "0123456789abcdef0123456789abcdef01234567"
CARD = """---
license: apache-2.0
base_model: org/original
---
# A title

Rounded to four bits from /home/anna/models/original,
then written as float32.

More words.
"""


def test_a_snapshot_of_the_hub_is_known_by_its_id_and_commit(base, tmp_path):
    snapshot = tmp_path / "hub" / "models--org--tiny-llm" / "snapshots" / COMMIT
    shutil.copytree(base, snapshot)
    write(snapshot, "README.md", CARD)
    found = find_source(snapshot)
    assert (found["name"], found["hub_id"], found["commit"]) == ("tiny-llm", "org/tiny-llm", COMMIT)
    assert "conversion" not in found  # the card of the hub says what its author did
    assert tell_source(found).startswith(f"org/tiny-llm; commit {COMMIT}; SHA-256 of model.safetensors ")
    assert "not run" not in tell_source(found)


def test_a_folder_into_which_the_hubs_client_downloaded_has_the_commit(base):
    write(base, ".cache/huggingface/download/config.json.metadata", f"{COMMIT}\nabc\n1700000000.1\n")
    assert find_source(base)["commit"] == COMMIT


def test_a_converted_model_names_its_original_and_its_conversion_without_folders(base):
    write(base, "README.md", CARD)
    found = find_source(base)
    assert found["base_model"] == "org/original"
    assert found["conversion"] == "Rounded to four bits from original, then written as float32."
    assert tell_source(found).endswith("; hub weights: not run")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (" org/a", "org/a"),
        (' "org/a"', "org/a"),
        ("\n- org/a\n- org/b", "org/a"),
        ("\n  - 'org/a'", "org/a"),
        (" [org/a, org/b]", "org/a"),
        ("\nlicense: mit", None),
    ],
)
def test_the_base_model_of_a_card_may_be_a_list(base, written, name):
    write(base, "README.md", f"---\ntags: [x]\nbase_model:{written}\n---\nConverted.")
    assert find_source(base).get("base_model") == name


def test_a_source_has_the_hash_of_each_file_of_weights_and_of_the_tensors(base):
    before = find_source(base)
    assert before["sha256"] == {"model.safetensors": hash_path(base / "model.safetensors")}
    shard(base)
    found = find_source(base)
    assert sorted(found["sha256"]) == [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    assert found["tensors"] == before["tensors"]


def test_a_source_holds_no_path_of_this_machine(base):
    assert str(base.parent) not in json.dumps(find_source(base))
