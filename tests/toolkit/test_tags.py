"""A recipe with a book of tags and grades, from stage 2 to a loaded model folder."""

import json

import pytest
from safetensors.torch import load_file

import auralign
from auralign.models.build import build_model
from auralign.publish.export import export
from auralign.recipe import load_recipe
from auralign.records import Records, Target
from auralign.train.checkpoint import Checkpoints
from recipe import make_recipe, run

MORE = """\
grade: !name:auralign.generate.grades.copied
books:
    quality: !name:auralign.models.books.Tags
        names: [good, bad]
"""


def write_yaml(folder, name, change):
    text = (folder / "hparams" / "conditional.yaml").read_text()
    (folder / "hparams" / f"{name}.yaml").write_text(change(text).replace("exp/conditional", f"exp/{name}"))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, make_llm, whisper_folder):
    """The folder of a recipe of `conditional`, trained and exported."""
    folder = make_recipe(
        tmp_path_factory.mktemp("tags") / "r",
        llm=make_llm("llama"),
        encoder=whisper_folder,
        method="conditional",
        more=MORE,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for script in ("generate.py", "train.py"):
            code, out, err = run(script, "hparams/conditional.yaml", "--num_steps", "4")
            assert code == 0, out + err
        export(load_recipe("hparams/conditional.yaml", {"num_steps": 4}), "model")
    return folder


def test_targets_have_their_grades_and_checkpoints_the_tags(recipe):
    targets = Records(recipe / "exp/conditional/targets/train.jsonl", Target)
    assert {target.grades["copied"] for target in targets} == {0.0}
    best = Checkpoints(recipe / "exp/conditional/checkpoints").best()
    assert load_file(best.folder / "trainable.safetensors")["quality_book.embedding.weight"].shape[0] == 2
    assert best.description["trained_with"]["book quality"]["with"] == {"names": ["good", "bad"]}


def test_a_model_folder_holds_the_tags_and_asks_for_the_good_one(recipe):
    config = json.loads((recipe / "model/auralign.json").read_text())
    assert config["slot"] == [["code", "quality", "good"], ["speech", "speech", 0.0, 1.0]]
    loaded = auralign.load(recipe / "model")
    trained = Checkpoints(recipe / "exp/conditional/checkpoints").best().weights()
    assert (
        loaded.model.books["quality"]
        .embedding.weight.detach()
        .equal(trained["quality_book.embedding.weight"])
    )
    assert isinstance(loaded.answer([recipe / "data/test-0.flac"], "repeat {speech}")[0], str)


def test_a_tag_that_the_book_does_not_have_is_named_before_training(recipe, monkeypatch):
    monkeypatch.chdir(recipe)
    write_yaml(recipe, "unknown", lambda text: text.replace("[good, bad]", "[bad, fair]"))
    assert run("generate.py", "hparams/unknown.yaml")[0] == 0
    code, _, err = run("train.py", "hparams/unknown.yaml")
    assert code != 0
    assert "the book 'quality' of the recipe has no token 'good'; it has 'bad', 'fair': add it" in err
    assert not (recipe / "exp/unknown/checkpoints").exists()


def test_a_tag_that_is_read_in_use_alone_is_named_before_training(recipe, monkeypatch):
    """No answer was good, so that no target has the tag; decoding would stop, after all of the training."""
    monkeypatch.chdir(recipe)
    changes = {"[good, bad]": "[bad]", "conditional\nmax_new": "conditional\n    bound: -1.0\nmax_new"}
    text = (recipe / "hparams/conditional.yaml").read_text()
    for old, new in changes.items():
        text = text.replace(old, new)
    write_yaml(recipe, "bad", lambda _: text)
    assert run("generate.py", "hparams/bad.yaml")[0] == 0
    code, _, err = run("train.py", "hparams/bad.yaml")
    assert code != 0 and "the book 'quality' of the recipe has no token 'good'; it has 'bad': add it" in err


def test_a_training_does_not_go_on_with_a_longer_book(recipe, monkeypatch):
    monkeypatch.chdir(recipe)
    yaml = recipe / "hparams/conditional.yaml"
    (recipe / "hparams/longer.yaml").write_text(yaml.read_text().replace("[good, bad]", "[good, bad, fair]"))
    code, out, err = run("train.py", "hparams/longer.yaml", "--num_steps", "6")
    assert code != 0 and "fair" in err, out + err


def test_a_first_stages_tags_are_frozen_or_refused_in_another_order(recipe, monkeypatch):
    monkeypatch.chdir(recipe)
    more = "init_from: exp/conditional\nfrozen: [quality_book]\n"
    write_yaml(recipe, "frozen", lambda text: text + more)
    write_yaml(recipe, "turned", lambda text: text.replace("[good, bad]", "[bad, good]") + more)
    from auralign.train.checkpoint import initialise

    model, _ = build_model(load_recipe("hparams/frozen.yaml"))
    assert "quality_book" not in model.trained_parts
    assert "connector, quality_book" in initialise(model, "exp/conditional")
    model, _ = build_model(load_recipe("hparams/turned.yaml"))
    for place in ("exp/conditional", "model"):
        with pytest.raises(
            ValueError, match=r"has the names \['good', 'bad'\], the recipe's has \['bad', 'good'\]"
        ):
            initialise(model, place)


def test_a_book_that_is_no_book_is_refused(recipe):
    write_yaml(recipe, "linear", lambda text: text.replace("auralign.models.books.Tags", "torch.nn.Linear"))
    with pytest.raises(ValueError, match="books.quality.*not a subclass of auralign.models.books.Book"):
        load_recipe(recipe / "hparams/linear.yaml").check_constructors()
