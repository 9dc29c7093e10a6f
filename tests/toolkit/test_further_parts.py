"""What some recipes have: a second encoder on a frozen first stage, a whole LLM trained, text beside the speech."""

import json
import shutil

import pytest
from safetensors.torch import load_file

import auralign
from auralign.hparams import load_hparams
from auralign.models.build import build_model
from auralign.pretrained import export
from auralign.records import Hypothesis, Records
from auralign.train.checkpoint import FROZEN, Checkpoints
from recipe import DIGITS, make_recipe, run

STAGES = ("generate.py", "train.py", "decode.py")
SECOND_STAGE = """\
branches:
    voice:
        encoder: !name:auralign.models.whisper.load_whisper
            path: {encoder}
            layers: [1]
        connector: !name:auralign.models.connectors.StackAndProject
            stride: 16
            keep_remainder: True
init_from: exp/sift
frozen: [connector]
"""


def write_yaml(folder, name, *, method, more="", base="sift"):
    """Another YAML beside sift's, with other lines for the method and more at its end."""
    text = (folder / "hparams" / f"{base}.yaml").read_text()
    text = text.replace("    name: sift\n", method).replace(
        "output_folder: exp/sift", f"output_folder: exp/{name}"
    )
    (folder / "hparams" / f"{name}.yaml").write_text(text + more)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, make_llm, whisper_folder):
    """A first stage, run; and a recipe of each kind beside it."""
    folder = make_recipe(
        tmp_path_factory.mktemp("parts") / "r", llm=make_llm("llama"), encoder=whisper_folder
    )
    shutil.copy(DIGITS.parent / "own_data" / "score.py", folder)
    two = "    name: sift\n    views: [s, sp]\n    voice_branch: voice\n"
    write_yaml(folder, "azeros", method=two, more=SECOND_STAGE.format(encoder=whisper_folder))
    write_yaml(folder, "whole_llm", method="    name: sift\n", more="train_llm: True\n")
    recognizer = "recognizer: !name:parrot.Parrot\n"
    write_yaml(folder, "desta", method="    name: desta\n", more=recognizer)
    (folder / "parrot.py").write_text(
        "class Parrot:\n"
        "    def __init__(self, width):\n        pass\n\n"
        "    def transcribe(self, frames, lengths):\n"
        "        return [f'nine {length}' for length in lengths.tolist()]\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for script in STAGES[:2]:
            succeed(script, "hparams/sift.yaml")
    return folder


def succeed(script, *arguments):
    code, out, err = run(script, *arguments)
    assert code == 0, out + err
    return out + err


@pytest.fixture(scope="module")
def azeros(recipe):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(recipe)
        said = [succeed(script, "hparams/azeros.yaml") for script in STAGES]
        export(load_hparams("hparams/azeros.yaml"), "azeros_model")
    return "\n".join(said)


def test_a_second_stage_says_what_it_began_with(azeros):
    assert "initialised from exp/sift/checkpoints/" in azeros
    assert ": connector; new: voice_connector" in azeros


def test_the_frozen_part_is_the_first_stages_and_in_no_checkpoint(recipe, azeros):
    first, second = (Checkpoints(recipe / "exp" / name / "checkpoints") for name in ("sift", "azeros"))
    before = first.best().weights()
    assert all(
        name.startswith("voice_connector.")
        for name in load_file(second.best().folder / "trainable.safetensors")
    )
    frozen = load_file(recipe / "exp" / "azeros" / "checkpoints" / FROZEN)
    assert {name: value.tolist() for name, value in frozen.items()} == {
        name: value.tolist() for name, value in before.items()
    }


def test_a_model_with_two_encoders_answers_as_its_recipe(recipe, azeros):
    written = Records(recipe / "exp/azeros/hypotheses/test.speech.jsonl", Hypothesis)
    model = auralign.load(recipe / "azeros_model")
    files = [recipe / "data" / f"test-{number}.flac" for number in range(4)]
    assert model.answer(files, "repeat {speech}") == [hypothesis.text for hypothesis in written]


def test_a_model_with_two_encoders_keeps_the_slots_of_both(recipe, azeros):
    config = json.loads((recipe / "azeros_model" / "auralign.json").read_text())
    assert config["slot"] == [
        ["text", "<audio><meta>"],
        ["speech", "voice"],
        ["text", "</meta><text>"],
        ["speech", "speech"],
        ["text", "</text></audio>"],
    ]


def test_training_goes_on_bit_for_bit_with_frozen_parts(recipe, azeros, monkeypatch):
    monkeypatch.chdir(recipe)
    more = ["--output_folder", "exp/again"]
    succeed("generate.py", "hparams/azeros.yaml", *more)
    succeed("train.py", "hparams/azeros.yaml", *more)
    for name in ("trainable.safetensors", FROZEN):
        (ours,), (theirs,) = (
            [path.read_bytes() for path in sorted((recipe / "exp" / run / "checkpoints").rglob(name))][-1:]
            for run in ("again", "azeros")
        )
        assert ours == theirs


def test_frozen_parts_of_another_run_are_refused(recipe, azeros, tmp_path):
    shutil.copytree(recipe / "exp/azeros/checkpoints", tmp_path / "checkpoints")
    (tmp_path / "checkpoints" / FROZEN).write_bytes(b"other")
    with pytest.raises(ValueError, match="not the parts that .* was trained beside; run stage 3 again"):
        Checkpoints(tmp_path / "checkpoints").best().weights()


FREEZE = "frozen: [connector]"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "init_from: exp/sift",
            "init_from: exp/gone",
            "init_from: no trained weights in exp/gone; run stage 3",
        ),
        (
            "init_from: exp/sift\n",
            "",
            "frozen: connector would stay as it was drawn at random; name its run: init_from",
        ),
        (
            FREEZE,
            "frozen: [projector]",
            "frozen: no part 'projector'; this model has connector, voice_connector",
        ),
        (
            FREEZE,
            "frozen: [voice_connector]",
            "frozen: voice_connector would stay as it was drawn at random; exp/sift",
        ),
        (FREEZE, "frozen: [connector, voice_connector]", "nothing is left to train"),
        (FREEZE, "heads:\n    pitch: !name:torch.nn.Linear", "'sift' has no use for 'pitch'; it needs none"),
        (
            "    voice:",
            "    music:",
            "the branch 'voice'; the recipe has speech, music: add it to `branches`",
        ),
        ("    voice:", "    speech:", "branches: 'speech' is that of `encoder` and `connector`"),
        (
            "        connector: !name",
            "        projector: !name",
            "branches: voice: give it an encoder and a connector",
        ),
        ("    stride: 8", "    stride: 4", "init_from: the connector of exp/sift/checkpoints/"),
    ],
)
def test_parts_that_do_not_fit_are_named(recipe, azeros, monkeypatch, old, new, says):
    monkeypatch.chdir(recipe)
    text = (recipe / "hparams/azeros.yaml").read_text()
    assert old in text
    (recipe / "hparams/wrong.yaml").write_text(text.replace(old, new).replace("exp/azeros", "exp/wrong"))
    succeed("generate.py", "hparams/wrong.yaml")
    code, out, err = run("train.py", "hparams/wrong.yaml")
    assert (code, says in err) == (2, True), out + err


def test_a_whole_llm_is_trained_and_reads_as_it_came(recipe, monkeypatch):
    monkeypatch.chdir(recipe)
    for script in STAGES:
        succeed(script, "hparams/whole_llm.yaml")
    best = Checkpoints(recipe / "exp/whole_llm/checkpoints").best()
    names = {name.partition(".")[0] for name in best.weights()}
    assert names == {"connector", "llm"}
    export(load_hparams("hparams/whole_llm.yaml"), "whole_model")
    model = auralign.load("whole_model")
    written = Records(recipe / "exp/whole_llm/hypotheses/test.speech.jsonl", Hypothesis)
    files = [recipe / "data" / f"test-{number}.flac" for number in range(4)]
    assert model.answer(files, "repeat {speech}") == [hypothesis.text for hypothesis in written]
    plain, _ = build_model(load_hparams("hparams/sift.yaml"))
    ids = list(range(7))
    moved = model.model.llm.embed(ids)
    assert not moved.equal(plain.llm.embed(ids))
    with model.model.llm.plain():
        assert model.model.llm.embed(ids).equal(plain.llm.embed(ids))


@pytest.fixture(scope="module")
def desta(recipe):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(recipe)
        patch.syspath_prepend(str(recipe))
        for script in (*STAGES, "score.py"):
            succeed(script, "hparams/desta.yaml")
        export(load_hparams("hparams/desta.yaml"), "desta_model")
    return auralign.load(recipe / "desta_model")


def test_an_assisted_method_is_decoded_and_scored_with_and_without(recipe, desta):
    files = {path.name for path in (recipe / "exp/desta/hypotheses").glob("*.jsonl")}
    assert files == {
        f"test.{name}.jsonl" for name in ("speech", "shuffled", "speech_alone", "shuffled_alone")
    }
    scores = json.loads((recipe / "exp/ledger/scores.json").read_text())
    assert "desta without transcript" in json.dumps(scores)


def test_an_assisted_model_answers_as_its_recipe_with_a_transcript_and_without(recipe, desta):
    files = [recipe / "data" / f"test-{number}.flac" for number in range(4)]
    alone = Records(recipe / "exp/desta/hypotheses/test.speech_alone.jsonl", Hypothesis)
    assert desta.answer(files, "repeat {speech}") == [hypothesis.text for hypothesis in alone]
    assisted = Records(recipe / "exp/desta/hypotheses/test.speech.jsonl", Hypothesis)
    encoder = desta.model.encoder
    transcripts = [f"nine {encoder.num_frames(round(16_000 * (0.4 + 0.1 * number)))}" for number in range(4)]
    assert desta.answer(files, "repeat {speech}", transcript=transcripts) == [
        hypothesis.text for hypothesis in assisted
    ]
    assert [one.text for one in alone] != [one.text for one in assisted]


def test_a_transcript_for_a_model_without_one_is_refused(recipe, azeros):
    model = auralign.load(recipe / "azeros_model")
    with pytest.raises(ValueError, match="trained without a transcript beside the speech; leave it out"):
        model.answer(recipe / "data" / "test-0.flac", "repeat", transcript="three")


def test_an_assisted_method_without_a_recognizer_is_refused(recipe, desta, monkeypatch):
    monkeypatch.chdir(recipe)
    text = (recipe / "hparams/desta.yaml").read_text().replace("recognizer: !name:parrot.Parrot\n", "")
    (recipe / "hparams/desta_alone.yaml").write_text(text)
    code, out, err = run("decode.py", "hparams/desta_alone.yaml", "--text_folder", "exp/other_text")
    assert code == 2, out + err
    assert "the method 'desta' needs a recognizer" in err
