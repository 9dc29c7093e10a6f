"""Model folders and targets go to the hub and come back, with cards that the hub can read."""

import json
import shutil

import pytest
from huggingface_hub import DatasetCard, ModelCard

import auralign
from auralign.publish.exchange import pull_model, push_model, push_targets
from auralign.publish.export import export
from auralign.publish.front_matter import join, split
from auralign.recipe import load_recipe
from auralign.records import Records, Target
from auralign.run_folder import RunFolder
from hub_server import TOKEN
from recipe import run

ID = "me/my-model"


@pytest.fixture
def owner(hub, monkeypatch):
    """The hub, for a user who may write."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return hub


def test_a_model_that_was_pushed_is_loaded_by_its_id(owner, recipe, model):
    address, notes = push_model(recipe / "model", ID, license="apache-2.0")
    assert address == f"{owner.url}/{ID}/commit/{owner[ID].refs['main']}"
    assert [note.partition(" is named by a folder")[0] for note in notes] == ["its LLM", "its encoder"]
    bases = {"llm": model.config["llm"]["with"]["path"], "encoder": model.config["encoder"]["with"]["path"]}
    bases = {name: recipe / "model" / path for name, path in bases.items()}
    audio = recipe / "data" / "test-0.flac"
    assert auralign.load(ID, **bases).answer(audio, "sort") == model.answer(audio, "sort")


def test_a_model_comes_back_as_it_was(owner, recipe, tmp_path):
    push_model(recipe / "model", ID)
    pull_model(ID, tmp_path / "back")
    for name in ("auralign.json", "trainable.safetensors"):
        assert (tmp_path / "back" / name).read_bytes() == (recipe / "model" / name).read_bytes()
        assert not (tmp_path / "back" / name).is_symlink()


def test_hidden_files_stay_on_this_machine(owner, recipe, tmp_path):
    folder = shutil.copytree(recipe / "model", tmp_path / "model")
    for name in (".git/config", ".cache/huggingface/x.metadata", "__pycache__/a.pyc", ".env"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("secret")
    _, notes = push_model(folder, ID, license="mit")
    assert {*owner[ID].files} == {".gitattributes", *(path.name for path in (recipe / "model").iterdir())}
    assert notes[-1] == ("left out, as hidden files are no part of a model: .cache, .env, .git, __pycache__")


def test_an_earlier_version_is_pulled_by_its_commit(owner, recipe, tmp_path):
    push_model(recipe / "model", ID, license="mit")
    before = owner[ID].refs["main"]
    push_model(recipe / "model", ID, license="apache-2.0")
    pull_model(f"{ID}@{before}", tmp_path / "back")
    assert ModelCard.load(tmp_path / "back" / "README.md").data.license == "mit"


def test_the_card_has_the_front_matter_that_the_hub_reads(owner, recipe):
    push_model(recipe / "model", ID, license="apache-2.0", datasets=["org/corpus"], languages=["en"])
    card = ModelCard(owner[ID].files["README.md"].decode())
    data = card.data.to_dict()
    assert data["license"] == "apache-2.0"
    assert data["library_name"] == "auralign"
    assert data["pipeline_tag"] == "audio-text-to-text"
    assert data["datasets"] == ["org/corpus"]
    assert data["language"] == ["en"]
    assert {"auralign", "sift"} <= {*data["tags"]}
    assert f'auralign.load("{ID}")' in card.text


def test_bases_of_the_hub_and_the_llms_licence_are_in_the_card(
    owner, recipe, make_llm, whisper_folder, tmp_path
):
    """Of a recipe whose folders are replaced by the same models on the hub."""
    licence = "license: other\nlicense_name: qwen-research\nlicense_link: https://example.org/LICENSE\n"
    files = {path.name: path.read_bytes() for path in make_llm("llama").iterdir()}
    commits = {"org/llm": owner.add("org/llm", {**files, "README.md": f"---\n{licence}---\n".encode()})}
    commits["org/whisper"] = owner.add("org/whisper", whisper_folder)
    from auralign.publish.front_matter import of_model

    given = {
        "llm.path": f"org/llm@{commits['org/llm']}",
        "encoder.path": f"org/whisper@{commits['org/whisper']}",
    }
    config = json.loads((recipe / "model" / "auralign.json").read_text())
    for part in ("llm", "encoder"):  # as an export of models of the hub writes them
        config[part]["with"]["path"] = given[f"{part}.path"]
        del config[part]["places"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(recipe)
        values = of_model(load_recipe("hparams/sift.yaml", given), config)
    assert values["base_model"] == ["org/llm", "org/whisper"]
    assert values["base_model_relation"] == "adapter"
    assert [values[name] for name in ("license", "license_name")] == ["other", "qwen-research"]


def test_another_licence_replaces_all_that_was_stated(owner, recipe, tmp_path):
    folder = shutil.copytree(recipe / "model", tmp_path / "model")
    card = folder / "README.md"
    values, text = split(card.read_text())
    card.write_text(join({**values, "license": "other", "license_name": "theirs"}, text))
    push_model(folder, ID, license="mit")
    data, _ = split(owner[ID].files["README.md"].decode())
    assert data["license"] == "mit" and "license_name" not in data


def test_targets_are_a_data_set_with_provenance(owner, recipe):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(recipe)
        targets = RunFolder(load_recipe("hparams/sift.yaml"))
        push_targets(targets, "me/my-targets", license="cc-by-4.0")
        expected = [target.response for target in Records(targets.targets("train"), Target)]
    files = owner.repositories["datasets", "me/my-targets"].files
    rows = [json.loads(line) for line in files["data/train.jsonl"].splitlines()]
    assert [row["response"] for row in rows] == expected
    data = DatasetCard(files["README.md"].decode()).data.to_dict()
    assert data["license"] == "cc-by-4.0"
    assert [one["split"] for one in data["configs"][0]["data_files"]] == ["train", "validation"]
    provenance = json.loads(files["provenance.json"])
    assert provenance["method"] == "sift" and provenance["seed"] == 1
    assert provenance["targets"] == {
        "train": len(expected),
        "valid": len(files["data/valid.jsonl"].splitlines()),
    }
    assert str(recipe.parent) not in "".join(content.decode() for content in files.values())


def test_the_hubs_data_set_is_read_by_datasets(owner, recipe, tmp_path):
    datasets = pytest.importorskip("datasets")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(recipe)
        push_targets(RunFolder(load_recipe("hparams/sift.yaml")), "me/my-targets")
    path = tmp_path / "train.jsonl"
    path.write_bytes(owner.repositories["datasets", "me/my-targets"].files["data/train.jsonl"])
    read = datasets.load_dataset(
        "json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert {"utt_id", "response", "llm"} <= {*read.column_names}


def test_the_commands_push_pull_and_ask(owner, recipe, model, tmp_path, monkeypatch):
    code, out, err = run("auralign", "push", str(recipe / "model"), ID, "--license", "mit")
    assert code == 0 and out.strip() == f"{owner.url}/{ID}/commit/{owner[ID].refs['main']}", err
    code, out, err = run("auralign", "pull", ID, str(tmp_path / "back"))
    assert code == 0 and (tmp_path / "back" / "auralign.json").is_file(), err
    bases = [recipe / "model" / model.config[part]["with"]["path"] for part in ("llm", "encoder")]
    audio = recipe / "data" / "test-0.flac"
    code, out, err = run(
        "auralign", "ask", ID, str(audio), "sort", "--llm", str(bases[0]), "--encoder", str(bases[1])
    )
    assert code == 0 and out.strip() == model.answer(audio, "sort").strip(), err
    code, out, err = run("auralign", "push", str(recipe / "exp" / "sift"), "me/t", "--targets")
    assert code == 0 and ("datasets", "me/t") in owner.repositories, err
    assert "states no licence" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("push", "model", "my-model"), "'my-model': expected an id of the hub, org/name"),
        (("push", "model", "me/my--model"), "'me/my--model' cannot be an id of the hub"),
        (("push", "nowhere", ID), "there is no folder nowhere; give a folder"),
        (("push", "model", ID), "the hub refuses to write (401); run `hf auth login`"),
        (("pull", "me/nothing", "new"), "no model of that id on the hub"),
        (("pull", "org/llm", "new"), "has no auralign.json, so it is not a model of auralign"),
        (("pull", ID, "model"), "model is there already"),
        (("push", "model", ID, "--targets"), "model: a model folder, which holds no recipe"),
    ],
)
def test_a_mistake_is_one_line(hub, recipe, make_llm, monkeypatch, words, says):
    monkeypatch.chdir(recipe)
    hub.add("org/llm", make_llm("llama"))
    code, _, err = run("auralign", *words)
    assert code == 2 and says in err


def test_a_private_push_makes_a_private_repository(owner, recipe):
    push_model(recipe / "model", ID, private=True)
    assert owner[ID].private


def test_a_private_push_writes_nothing_into_a_public_repository(owner, recipe):
    push_model(recipe / "model", ID)
    before = owner[ID].refs["main"]
    with pytest.raises(ValueError, match=f"{ID}: the repository is there already and is public"):
        push_model(recipe / "model", ID, private=True)
    assert owner[ID].refs["main"] == before


def test_offline_nothing_is_written(owner, recipe, offline):
    offline()
    with pytest.raises(ConnectionError, match="HF_HUB_OFFLINE is set; unset it"):
        push_model(recipe / "model", ID)


def test_a_model_is_exported_again_with_its_card(recipe, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(recipe)
        export(load_recipe("hparams/sift.yaml"), tmp_path / "again")
    values, text = split((tmp_path / "again" / "README.md").read_text())
    assert values["library_name"] == "auralign" and text.startswith("# ")
