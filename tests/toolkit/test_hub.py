"""A model is named by a folder, an id of the hub or a folder of the hub's cache; everything else is one clear error."""

import json
import shutil
import subprocess
import sys

import pytest

from auralign import hub as models
from auralign.hub import Reference, find_file, is_moving, name_of, parse, pin, resolve

ID = "org/tiny"
SHA = "a" * 40


@pytest.fixture
def tiny(hub, make_llm):
    """The commit of a tiny LLM on the hub, with the same weights in other formats beside it."""
    files = {path.name: path.read_bytes() for path in make_llm("llama").iterdir()}
    others = (
        "pytorch_model.bin",
        "tf_model.h5",
        "flax_model.msgpack",
        "onnx/model.onnx",
        "consolidated.safetensors",
    )
    return hub.add(
        ID, {**files, "README.md": b"---\nlicense: mit\n---\n", **dict.fromkeys(others, b"duplicate")}
    )


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("org/name", Reference("org/name", None)),
        ("Qwen/Qwen2.5-7B-Instruct@v1.0", Reference("Qwen/Qwen2.5-7B-Instruct", "v1.0")),
        ("org/name@refs/pr/3", Reference("org/name", "refs/pr/3")),
        ("./org/name", None),
        ("../models/llm", None),
        ("/org/name", None),
        ("exp/sift/seed_1", None),
        ("gpt2", None),
        ("org/name.gguf", None),
        ("", None),
    ],
)
def test_only_an_id_is_looked_up(name, reference, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse(name) == reference


def test_a_folder_of_that_name_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "name").mkdir(parents=True)
    assert parse("org/name") is None
    assert parse("org/other") is None  # misspelt beside it
    assert parse("org/other@main") == Reference("org/other", "main")


def test_what_is_in_the_cache_is_no_misspelt_folder(hub, tiny, tmp_path, monkeypatch):
    resolve("org/tiny")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org").mkdir()
    assert parse("org/tiny") == Reference("org/tiny", None)


def test_a_file_is_found_in_the_cache_without_fetching(hub, tiny):
    assert find_file("org/tiny", "config.json") is None
    folder = resolve("org/tiny")
    assert find_file("org/tiny", "config.json") == find_file(folder, "config.json") == folder / "config.json"


@pytest.mark.parametrize("name", ["me/my--model", "me/a..b"])
def test_an_id_that_the_hub_cannot_have_is_named(hub, name):
    with pytest.raises(ValueError, match=f"'{name}' cannot be an id of the hub"):
        resolve(name)


def test_an_id_gives_one_form_of_the_weights(hub, tiny, make_llm):
    folder = resolve(ID)
    assert folder.name == tiny
    expected = {path.name for path in make_llm("llama").iterdir()} | {"README.md"}
    assert {path.name for path in folder.iterdir()} == expected
    assert not {"pytorch_model.bin", "consolidated.safetensors"} & {*hub.downloads()}


def test_shards_are_those_that_the_index_names(hub):
    index = {"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors", "c": "part-1.safetensors"}}
    shards = {f"part-{number}.safetensors": b"x" for number in (1, 2, 3)}
    hub.add(ID, {"config.json": b"{}", "model.safetensors.index.json": json.dumps(index).encode(), **shards})
    assert sorted(path.name for path in resolve(ID).glob("part-*")) == [
        "part-1.safetensors",
        "part-2.safetensors",
    ]


def test_weights_of_torch_are_fetched_if_there_are_no_others(hub):
    hub.add(ID, {"config.json": b"{}", "pytorch_model.bin": b"weights", "tf_model.h5": b"x"})
    assert sorted(path.name for path in resolve(ID).iterdir()) == ["config.json", "pytorch_model.bin"]


def test_a_pinned_name_means_the_same_model_after_main_moved(hub, tiny):
    pinned = pin(ID)
    newer = hub.add(ID, {**hub[ID].files, "config.json": b"{}"})
    assert pinned == f"{ID}@{tiny}"
    assert resolve(pinned).name == tiny
    assert resolve(ID).name == newer
    assert models.moved(ID, tiny) == newer
    assert models.moved(ID, newer) is None


def test_a_branch_or_tag_is_a_revision(hub, tiny):
    tagged = hub[ID].commit(hub[ID].files, branch="v1.0")
    assert pin(f"{ID}@v1.0") == f"{ID}@{tagged}"
    assert is_moving(f"{ID}@v1.0") and not is_moving(f"{ID}@{tagged}")


def test_a_commit_that_was_fetched_needs_no_network(hub, tiny):
    resolve(f"{ID}@{tiny}")
    hub.asked.clear()
    assert resolve(f"{ID}@{tiny}").name == tiny
    assert hub.asked == []


def test_an_interrupted_download_is_completed(hub, tiny):
    folder = resolve(f"{ID}@{tiny}")
    (folder / "model.safetensors").unlink()
    assert (resolve(f"{ID}@{tiny}") / "model.safetensors").is_file()


def test_offline_the_cache_is_read(hub, tiny, offline):
    resolve(ID)
    offline()
    hub.asked.clear()
    assert resolve(ID).name == tiny
    assert hub.asked == []


@pytest.mark.parametrize(
    ("name", "line"), [(ID, f"hf download {ID}"), (f"{ID}@{SHA}", f"hf download {ID} --revision {SHA}")]
)
def test_offline_what_is_missing_is_named_with_its_download(hub, offline, name, line):
    offline()
    with pytest.raises(FileNotFoundError, match=f"HF_HUB_OFFLINE is set; with a network run: {line}$"):
        resolve(name)


def test_offline_an_incomplete_snapshot_is_not_taken(hub, tiny, offline):
    (resolve(ID) / "model.safetensors").unlink()
    offline()
    with pytest.raises(FileNotFoundError, match="not whole in the hub's cache"):
        resolve(ID)


def test_without_a_network_the_cache_is_read_with_a_note(hub, tiny, capsys, monkeypatch):
    from huggingface_hub import constants

    resolve(ID)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert resolve(ID).name == tiny
    assert f"goes on with the commit in the cache, {tiny}" in capsys.readouterr().err


def test_without_a_network_what_is_missing_is_one_error(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        FileNotFoundError, match=rf"127.0.0.1:9\) cannot be reached .*; when it can be, run: hf download {ID}"
    ):
        resolve(ID)


def test_an_unknown_id_is_named(hub):
    with pytest.raises(
        FileNotFoundError, match="org/nothing: no folder here and no model of that id on the hub .*check the"
    ):
        resolve("org/nothing")


def test_an_unknown_revision_is_named(hub, tiny):
    with pytest.raises(FileNotFoundError, match=f"the hub's {ID} has no revision 'v9'"):
        resolve(f"{ID}@v9")


def test_a_gated_model_says_where_its_terms_are(hub, make_llm):
    hub.add("meta/gated", make_llm("llama"), gated=True)
    with pytest.raises(
        PermissionError, match=f"gated; accept its terms at {hub.url}/meta/gated, then run `hf auth login`"
    ):
        resolve("meta/gated")


def test_with_a_token_a_gated_model_is_fetched(hub, make_llm, monkeypatch):
    from hub_server import TOKEN

    commit = hub.add("meta/gated", make_llm("llama"), gated=True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert resolve("meta/gated").name == commit


def test_a_repository_of_gguf_says_how_to_convert(hub):
    hub.add("org/tiny-GGUF", {"tiny-q4.gguf": b"GGUF", "README.md": b""})
    with pytest.raises(
        ValueError,
        match=r"GGUF .*from_pretrained\('org/tiny-GGUF', gguf_file='tiny-q4.gguf'\)",
    ):
        resolve("org/tiny-GGUF")
    assert hub.downloads() == []


@pytest.mark.parametrize("named", ["models/tiny.gguf", "models"])
def test_a_gguf_file_or_its_folder_says_how_to_convert(tmp_path, monkeypatch, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.gguf").write_bytes(b"GGUF")
    with pytest.raises(
        ValueError, match=r"from_pretrained\('models', gguf_file='tiny.gguf'\).save_pretrained\('FOLDER'\)"
    ):
        resolve(named)


def test_a_repository_without_weights_is_refused_before_it_is_fetched(hub):
    hub.add("org/adapter", {"adapter_config.json": b"{}", "adapter_model.safetensors": b"x"})
    with pytest.raises(
        ValueError, match="no weights of transformers .*adapter_model.safetensors; give a model"
    ):
        resolve("org/adapter")
    assert hub.downloads() == []


def test_a_folder_of_the_cache_is_its_snapshot(hub, tiny):
    snapshot = resolve(ID)
    root = snapshot.parent.parent
    assert root.name == "models--org--tiny"
    assert resolve(root) == snapshot
    assert pin(str(root)) == str(snapshot)
    assert name_of(snapshot) == f"{ID}@{tiny}"


def test_a_folder_of_the_cache_with_several_commits_and_no_main_is_refused(tmp_path):
    for commit in (SHA, "b" * 40):
        (tmp_path / "models--org--tiny" / "snapshots" / commit).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="give the folder of one: .*snapshots/COMMIT"):
        resolve(tmp_path / "models--org--tiny")


def test_an_llm_is_loaded_by_id_and_named_by_id_and_commit(hub, tiny, make_llm, tmp_path):
    from auralign.models.llm import load_llm

    copy = shutil.copytree(make_llm("llama"), tmp_path / "copy")
    (copy / "README.md").write_bytes(hub[ID].files["README.md"])
    llm = load_llm(ID)
    assert llm.name == f"{ID}@{tiny}"
    assert llm.revision == load_llm(copy).revision


def test_an_encoder_is_loaded_by_id(hub, whisper_folder):
    from auralign.models.encoders import load_encoder

    hub.add("org/whisper", whisper_folder)
    assert load_encoder("org/whisper").fingerprint == load_encoder(whisper_folder).fingerprint


def test_the_command_reads_hf_endpoint(hub, tiny):
    """In a process of its own, in which `huggingface_hub` reads the environment by itself."""
    code = f"from auralign.hub import pin; print(pin({ID!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{ID}@{tiny}"
