"""What some recipes have: a second encoder on a frozen first stage, a whole LLM trained, text beside the speech."""

import functools
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import auralign
from auralign import layout
from auralign.models.build import build_model
from auralign.models.connectors import StackAndProject
from auralign.publish.export import export
from auralign.recipe import load_recipe
from auralign.records import Hypothesis, Records, Target, Utterance, write_records
from auralign.train.checkpoint import FROZEN, Checkpoints
from recipe import DIGITS, make_recipe, run

STAGES = ("generate.py", "train.py", "decode.py")
SECOND_STAGE = """\
branches:
    voice:
        encoder: !name:auralign.models.encoders.load_whisper
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
        export(load_recipe("hparams/azeros.yaml"), "azeros_model")
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
        ["speech", "voice", 0.0, 1.0],
        ["text", "</meta><text>"],
        ["speech", "speech", 0.0, 1.0],
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
    with pytest.raises(ValueError, match="not the frozen parts that .* was trained with; run stage 3 again"):
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
            "frozen: connector would keep its random initial weights; name the run that trained it: init_from",
        ),
        (
            FREEZE,
            "frozen: [projector]",
            "frozen: no part 'projector'; this model has connector, voice_connector",
        ),
        (
            FREEZE,
            "frozen: [voice_connector]",
            "frozen: voice_connector would keep its random initial weights; exp/sift",
        ),
        (FREEZE, "frozen: [connector, voice_connector]", "nothing is left to train"),
        (FREEZE, "heads:\n    pitch: !name:torch.nn.Linear", "'sift' does not use 'pitch'; it needs none"),
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
        (
            FREEZE,
            "train_llm: True\nlora: !name:peft.LoraConfig",
            "train_llm and lora: train either the LLM's own weights or adapters",
        ),
        (FREEZE, "lora_scope: speech", "lora_scope speech: the recipe has no lora"),
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
    export(load_recipe("hparams/whole_llm.yaml"), "whole_model")
    model = auralign.load("whole_model")
    written = Records(recipe / "exp/whole_llm/hypotheses/test.speech.jsonl", Hypothesis)
    files = [recipe / "data" / f"test-{number}.flac" for number in range(4)]
    assert model.answer(files, "repeat {speech}") == [hypothesis.text for hypothesis in written]
    plain, _ = build_model(load_recipe("hparams/sift.yaml"))
    ids = list(range(7))
    moved = model.model.llm.embed(ids)
    assert not moved.equal(plain.llm.embed(ids))
    with model.model.llm.original():
        assert model.model.llm.embed(ids).equal(plain.llm.embed(ids))


@pytest.fixture(scope="module")
def desta(recipe):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(recipe)
        patch.syspath_prepend(str(recipe))
        for script in (*STAGES, "score.py"):
            succeed(script, "hparams/desta.yaml")
        export(load_recipe("hparams/desta.yaml"), "desta_model")
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


def test_a_first_stage_that_is_not_finished_is_refused(recipe, azeros, monkeypatch, tmp_path):
    monkeypatch.chdir(recipe)
    shutil.copytree("exp/sift", tmp_path / "half")
    (tmp_path / "half" / ".train.done.json").unlink()
    code, out, err = run("train.py", "hparams/azeros.yaml", "--init_from", str(tmp_path / "half"))
    assert code == 2, out + err
    assert f"stage 3 (train) is not finished in {tmp_path / 'half'}; run it first" in err


def test_a_branch_of_another_encoder_is_refused(recipe, azeros, monkeypatch):
    monkeypatch.chdir(recipe)
    text = (recipe / "hparams/azeros.yaml").read_text().replace("exp/azeros", "exp/third")
    text = text.replace("init_from: exp/sift", "init_from: exp/azeros").replace("layers: [1]", "layers: [2]")
    (recipe / "hparams/third.yaml").write_text(text)
    succeed("generate.py", "hparams/third.yaml")
    code, out, err = run("train.py", "hparams/third.yaml")
    assert code == 2, out + err
    assert "was trained with branch voice" in err


def test_parts_that_the_yaml_lost_are_named(recipe, azeros, monkeypatch):
    monkeypatch.chdir(recipe)
    text = (recipe / "hparams/azeros.yaml").read_text()
    text = text[: text.index("branches:")]
    (recipe / "hparams/lost.yaml").write_text(text)
    code, out, err = run("decode.py", "hparams/lost.yaml")
    assert code == 2, out + err
    assert "trained with branch voice" in err


def test_the_encoder_of_a_branch_may_have_moved(recipe, azeros, whisper_folder, tmp_path):
    shutil.copytree(recipe / "azeros_model", tmp_path / "model")
    config = json.loads((tmp_path / "model" / "auralign.json").read_text())
    config["branches"]["voice"]["encoder"]["with"]["path"] = "/gone"
    del config["sha256"]  # as of a folder that was exported there
    (tmp_path / "model" / "auralign.json").write_text(json.dumps(config))
    with pytest.raises(FileNotFoundError, match=r"give its path: load\(..., branches={'voice': PATH}\)"):
        auralign.load(tmp_path / "model")
    with pytest.raises(ValueError, match="has no branch 'vioce'; it has voice"):
        auralign.load(tmp_path / "model", branches={"vioce": whisper_folder})
    audio = recipe / "data" / "test-0.flac"
    here = auralign.load(tmp_path / "model", branches={"voice": whisper_folder}).answer(
        audio, "repeat {speech}"
    )
    assert here == auralign.load(recipe / "azeros_model").answer(audio, "repeat {speech}")


def test_the_connector_of_a_branch_may_be_the_users_own(recipe, azeros):
    folder = shutil.copytree(recipe / "azeros_model", recipe / "own_connector_model")
    config = json.loads((folder / "auralign.json").read_text())
    its = config["branches"]["voice"]["connector"]
    connector = functools.partial(StackAndProject, **its["with"])
    config["branches"]["voice"]["connector"] = {**its, "call": "my_parts.Mine"}
    del config["sha256"]
    (folder / "auralign.json").write_text(json.dumps(config))
    with pytest.raises(
        ValueError, match=r"my_parts.Mine, .* load\(..., branches={'voice': {'connector': ...}}\)"
    ):
        auralign.load(folder)
    with pytest.raises(ValueError, match="has 'conector'; give encoder and connector, or one of them"):
        auralign.load(folder, branches={"voice": {"conector": connector}})
    audio = recipe / "data" / "test-0.flac"
    own = auralign.load(folder, branches={"voice": {"connector": connector}})
    assert own.answer(audio, "repeat {speech}") == auralign.load(recipe / "azeros_model").answer(
        audio, "repeat {speech}"
    )


def test_ask_takes_a_transcript(recipe, desta, monkeypatch):
    monkeypatch.chdir(recipe)
    code, out, err = run(
        "auralign", "ask", "desta_model", "data/test-0.flac", "repeat {speech}", "--transcript", "nine 20"
    )
    assert code == 0
    assert err.splitlines() == [line for line in err.splitlines() if "of an even level" in line]  # a tone
    assert out.strip() == desta.answer("data/test-0.flac", "repeat {speech}", transcript="nine 20")


@pytest.fixture(scope="module")
def distilled(recipe):
    write_yaml(recipe, "kept", method="    name: distillation\n    top_k: 4\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(recipe)
        for script in STAGES:
            succeed(script, "hparams/kept.yaml")
    return recipe / "exp" / "kept"


def test_a_kept_teacher_is_the_plain_llm_at_each_token_of_the_targets(recipe, distilled):
    rows = np.load(distilled / "targets" / "train.teacher_4_2.npy")
    model, renderer = build_model(load_recipe(recipe / "hparams" / "sift.yaml"))
    method = load_recipe(recipe / "hparams" / "kept.yaml").method
    manifest = Records(recipe / "data" / "train.jsonl", Utterance)
    start = 0
    for target in Records(distilled / "targets" / "train.jsonl", Target):
        segment = layout.Response.of(target)
        view = renderer.render(method.layout(manifest[target.utt_id], target.choice, segment).teacher)
        ids = view.pieces[-1].ids
        logits = model.llm.model(input_ids=torch.tensor([view.ids]), use_cache=False).logits[0]
        logits = logits[-len(ids) - 1 : -1]
        of_target = rows[start : start + len(ids)]
        assert of_target["token"].tolist() == list(ids)
        torch.testing.assert_close(
            torch.tensor(of_target["logits"]), logits.topk(4).values, rtol=1e-4, atol=1e-4
        )
        torch.testing.assert_close(
            torch.tensor(of_target["logsumexp"]), (logits / 2).logsumexp(-1), rtol=1e-4, atol=1e-4
        )
        start += len(ids)
    assert start == len(rows)


def test_a_teacher_kept_of_other_targets_is_refused(recipe, distilled, monkeypatch):
    monkeypatch.chdir(recipe)
    path = distilled / "targets" / "train.teacher_4_2.npy"
    kept = path.read_bytes()
    rows = np.load(path)
    np.save(path, rows[::-1])
    for trained in ("checkpoints", ".train.done.json"):
        shutil.move(distilled / trained, recipe / f"{trained}.there")
    code, out, err = run("train.py", "hparams/kept.yaml")
    path.write_bytes(kept)
    for trained in ("checkpoints", ".train.done.json"):
        shutil.rmtree(distilled / trained, ignore_errors=True)
        shutil.move(recipe / f"{trained}.there", distilled / trained)
    assert code == 2, out + err
    assert "train.teacher_4_2.npy: is not what the stage wrote" in err and "run that stage again" in err


def test_a_step_without_any_finished_answer_trains_on_the_rest(recipe, monkeypatch):
    monkeypatch.chdir(recipe)
    write_yaml(recipe, "cut", method="    name: distillation\n")
    succeed("generate.py", "hparams/cut.yaml", "--max_new_tokens", "2")
    reasons = {target.finish_reason for target in Records("exp/cut/targets/train.jsonl", Target)}
    assert reasons == {"length"}
    succeed("train.py", "hparams/cut.yaml", "--max_new_tokens", "2")


def test_a_connector_that_counts_none_is_refused(recipe, monkeypatch):
    monkeypatch.chdir(recipe)
    write_yaml(recipe, "counted", method="    name: wav2prompt\n")
    succeed("generate.py", "hparams/counted.yaml")
    code, out, err = run("train.py", "hparams/counted.yaml")
    assert code == 2, out + err
    assert (
        "the method 'wav2prompt' needs a connector that returns a given number of embeddings; StackAndProject does not"
        in err
    )


def test_utterances_that_are_not_asked_about_are_counted(recipe, monkeypatch):
    monkeypatch.chdir(recipe)
    write_yaml(recipe, "emo", method="    name: blsp_emo\n")
    code, out, err = run("generate.py", "hparams/emo.yaml")
    assert code == 2, out + err
    assert "method 'blsp_emo' returns no choice for any of the 12 utterances of data/train.jsonl" in err
    for split in ("train", "valid"):
        path = recipe / "data" / f"{split}.jsonl"
        utterances = list(Records(path, Utterance))
        (recipe / "told").mkdir(exist_ok=True)
        told = [replace(utterances[0], attributes={"emotion": "Sad"}), *utterances[1:]]
        write_records(recipe / "told" / f"{split}.jsonl", told, kind=Utterance)
    said = succeed("generate.py", "hparams/emo.yaml", "--data_folder", "told")
    assert "1 targets; 0 of 1 rejected" in said
    assert "11 utterances for which the method returns no choice" in said


def test_a_head_is_built_with_the_bias_that_the_method_needs(recipe, monkeypatch):
    monkeypatch.chdir(recipe)
    write_yaml(recipe, "heads", method="    name: blsp_emo\n")
    model, _ = build_model(load_recipe("hparams/heads.yaml"))
    assert model.heads["emotion"].bias is None
    assert model.heads["emotion"].weight.shape[0] == 5
