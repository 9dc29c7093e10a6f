"""The model folder that is written: what it holds, and that it tells nothing of this machine."""

import json
import os
import re
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import auralign
from auralign import cli
from auralign.hub import has_form_of_id
from auralign.models.builds import RECORD
from auralign.publish.examples import Example, stored_examples
from auralign.publish.export import _stored, export
from auralign.publish.model_folder import CARD, CONFIG, hub_id_of
from auralign.recipe import load_recipe


def audio(recipe, number=0):
    return recipe / "data" / f"test-{number}.flac"


def test_a_folder_that_is_there_is_not_written_over(recipe, monkeypatch):
    monkeypatch.chdir(recipe)
    with pytest.raises(FileExistsError, match="is there already"):
        export(load_recipe("hparams/sift.yaml"), "model")


def test_export_and_ask_from_the_command_line(recipe, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(recipe)
    assert cli.run(["export", "sift", str(tmp_path / "exported")]) == 0
    capsys.readouterr()
    assert cli.run(["ask", str(tmp_path / "exported"), str(audio(recipe)), "sort"]) == 0
    assert capsys.readouterr().out.strip() == auralign.load("model").answer(audio(recipe), "sort")


def test_a_model_folder_holds_no_path_of_this_machine(recipe, make_llm, whisper_folder):
    places = [str(place) for place in (recipe, make_llm("llama"), whisper_folder, recipe.parent)]
    for path in (recipe / "model").iterdir():
        assert not [place for place in places if place.encode() in path.read_bytes()], path


def test_others_can_read_a_model_folder(recipe):
    umask = os.umask(0)
    os.umask(umask)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (recipe / "model").iterdir()}
    assert modes == dict.fromkeys(("trainable.safetensors", RECORD, CONFIG, CARD), 0o666 & ~umask)


@pytest.fixture
def at_home(recipe, tmp_path, monkeypatch):
    """Models in a home, and an export to outside of it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    home = recipe.parent / "anna"
    shutil.copytree(recipe, home / "r", dirs_exist_ok=True)
    monkeypatch.setattr(Path, "home", lambda: home)
    text = (home / "r/hparams/sift.yaml").read_text()
    for name in ("llm", "encoder"):
        (found,) = re.findall(rf"^{name}: .*\n    path: (.*)", text, flags=re.MULTILINE)
        shutil.copytree(found, home / "models" / name, dirs_exist_ok=True)
        text = text.replace(f"path: {found}", f"path: {home}/models/{name}")
    (home / "r/hparams/sift.yaml").write_text(text)
    monkeypatch.chdir(home / "r")
    export(load_recipe("hparams/sift.yaml"), tmp_path / "published")
    return home


def test_a_folder_of_a_home_is_told_by_its_name_and_hash(at_home, tmp_path):
    config = json.loads((tmp_path / "published" / CONFIG).read_text())
    assert (config["llm"]["with"], config["encoder"]["with"]) == ({"path": "llm"}, {"path": "encoder"})
    assert len(config["llm"]["places"]["path"]) == 64
    assert "anna" not in (tmp_path / "published" / CARD).read_text()


def test_who_exported_a_model_loads_it_without_saying_where_things_are(at_home, tmp_path, recipe):
    assert auralign.load(tmp_path / "published").answer(audio(recipe), "sort")


def test_who_did_not_is_asked_where_the_llm_is(at_home, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "of another"))
    with pytest.raises(
        FileNotFoundError,
        match=r"auralign.json: .* llm was at llm, .*load\(..., llm=PATH",
    ):
        auralign.load(tmp_path / "published")


def test_parts_are_written_by_their_canonical_names(recipe):
    config = json.loads((recipe / "model" / CONFIG).read_text())
    assert [config[part]["call"] for part in ("llm", "encoder", "connector")] == [
        "auralign.models.llm.load_llm",
        "auralign.models.encoders.load_whisper",
        "auralign.models.connectors.StackAndProject",
    ]


def test_an_export_can_name_the_models_by_their_ids_on_the_hub(
    recipe, make_llm, whisper_folder, monkeypatch, tmp_path
):
    monkeypatch.chdir(recipe)
    folder = tmp_path / "named"
    export(load_recipe("hparams/sift.yaml"), folder, ids={"llm": "org/llm", "encoder": "org/whisper"})
    config = json.loads((folder / CONFIG).read_text())
    assert [config[what]["with"]["path"] for what in ("llm", "encoder")] == ["org/llm", "org/whisper"]
    assert "base_model:\n- org/llm\n- org/whisper\n" in (folder / CARD).read_text()
    found = auralign.load(folder, llm=make_llm("llama"), encoder=whisper_folder).answer(audio(recipe), "sort")
    assert found == auralign.load("model").answer(audio(recipe), "sort")


def test_a_folder_that_was_moved_is_not_taken_for_an_id_of_the_hub():
    folder = {"with": {"path": "models/llm"}, "places": {"path": "0" * 64}}
    assert hub_id_of(folder) is None
    assert hub_id_of({"with": {"path": "org/llm"}}).id == "org/llm"


def test_a_path_is_no_id(recipe, monkeypatch, tmp_path):
    monkeypatch.chdir(recipe)
    with pytest.raises(
        ValueError, match="llm '/models/llm': give an id of the hub, org/name or org/name@revision"
    ):
        export(load_recipe("hparams/sift.yaml"), tmp_path / "named", ids={"llm": "/models/llm"})


def test_weights_can_be_stored_in_half_precision(recipe, monkeypatch, tmp_path):
    monkeypatch.chdir(recipe)
    export(load_recipe("hparams/sift.yaml"), tmp_path / "half", dtype="float16")
    half, whole = (
        load_file(folder / "trainable.safetensors") for folder in (tmp_path / "half", Path("model"))
    )
    assert {value.dtype for value in half.values()} == {torch.float16}
    assert all(torch.equal(half[name], whole[name].half()) for name in whole)
    loaded = auralign.load(tmp_path / "half").model.connector.state_dict()
    assert {value.dtype for value in loaded.values()} == {torch.float32}


SAID = Example(
    "a", (16_000, np.zeros(1600, dtype=np.float32)), "two one", "sort", answer="one two", expected="one two"
)


def test_examples_are_published_when_they_are_given(recipe, monkeypatch, tmp_path):
    monkeypatch.chdir(recipe)
    export(load_recipe("hparams/sift.yaml"), tmp_path / "shown", examples=[SAID])
    assert [one.answer for one in stored_examples(tmp_path / "shown")] == ["one two"]
    assert "| examples | 1 recording of the test set" in (tmp_path / "shown" / CARD).read_text()
    assert "| examples |" not in Path("model", CARD).read_text()
    assert auralign.load(tmp_path / "shown").answer(audio(recipe), "sort")


def test_a_recording_that_was_changed_is_not_the_one_that_was_exported(recipe, monkeypatch, tmp_path):
    monkeypatch.chdir(recipe)
    export(load_recipe("hparams/sift.yaml"), tmp_path / "shown", examples=[SAID])
    (tmp_path / "shown" / "examples" / "1.flac").write_bytes(b"other")
    with pytest.raises(ValueError, match=r"examples/1.flac: is not as it was exported"):
        auralign.load(tmp_path / "shown")


def test_other_software_shows_no_examples(recipe, monkeypatch, tmp_path):
    monkeypatch.chdir(recipe)
    with pytest.raises(ValueError, match="--examples with --as voxtral: no other software shows them"):
        export(load_recipe("hparams/sift.yaml"), tmp_path / "shown", architecture="voxtral", examples=[SAID])


def test_a_weight_that_half_precision_cannot_hold_is_named():
    with pytest.raises(ValueError, match="the weight a is too large for float16"):
        _stored({"a": torch.tensor([1e6])}, "float16")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int7"}, "int7"),
        ({"dtype": "float16", "architecture": "voxtral"}, "--dtype float16 with --as voxtral"),
    ],
)
def test_a_dtype_is_checked_and_not_ignored(recipe, monkeypatch, tmp_path, options, message):
    monkeypatch.chdir(recipe)
    with pytest.raises(ValueError, match=message):
        export(load_recipe("hparams/sift.yaml"), tmp_path / "x", **options)


def test_an_id_may_be_the_name_of_a_folder_here_too(recipe, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "llm").mkdir(parents=True)
    assert has_form_of_id("org/llm") and has_form_of_id("org/llm@main") and not has_form_of_id("/models/llm")


@pytest.fixture
def trained_on(recipe, tmp_path, monkeypatch):
    """A copy of the recipe whose answers are of an earlier checkpoint."""
    monkeypatch.chdir(shutil.copytree(recipe, tmp_path / "recipe"))
    mark = Path("exp/sift/hypotheses/.decode_speech.done.json")
    found = json.loads(mark.read_text())
    found["inputs"]["checkpoint"] = "0" * 64
    mark.write_text(json.dumps(found))


def test_examples_of_an_earlier_checkpoint_are_refused(trained_on):
    with pytest.raises(ValueError, match="are of another checkpoint; run stage 4 again"):
        cli.run(["export", "sift", "exported", "--examples"])


def test_the_card_has_no_ledger_of_an_earlier_checkpoint(trained_on, capsys):
    assert cli.run(["export", "sift", "exported"]) == 0
    assert "are of another checkpoint: the model card has no ledger" in capsys.readouterr().err


def test_examples_are_those_of_the_run(recipe, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(recipe)
    assert cli.run(["export", "sift", str(tmp_path / "shown"), "--examples"]) == 0
    assert "another checkpoint" not in capsys.readouterr().err
    assert stored_examples(tmp_path / "shown")
