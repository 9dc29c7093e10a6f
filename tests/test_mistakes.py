"""Every way to get it wrong: one clear line that names the value, the place and the repair, and an exit code that is not 0.

A row of the table is a mistake in a recipe that was otherwise run to its end, the command that meets it, and what is said.
"""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from auralign.publish.export import export
from auralign.recipe import load_recipe
from auralign.records import Question, Records, Target, Utterance, write_records
from auralign.stage import Stage
from auralign_methods.sift import SIFT
from processes import run_python
from recipe import DIGITS, contents, make_recipe, run

SIFT_YAML = "hparams/sift.yaml"
STAGES = ("generate.py", "train.py", "decode.py", "score.py")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, make_llm, whisper_folder):
    """A recipe run to its end, its model folder, and the parts that other recipes have."""
    folder = make_recipe(
        tmp_path_factory.mktemp("whole") / "r",
        llm="models/llm",
        encoder="models/encoder",
        more="decode_stop_strings: []\n",
    )
    shutil.copytree(make_llm("llama"), folder / "models" / "llm")
    shutil.copytree(make_llm("qwen2"), folder / "models" / "other")
    shutil.copytree(whisper_folder, folder / "models" / "encoder")
    shutil.copy(DIGITS.parent / "own_data" / "score.py", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for script in STAGES:
            code, out, err = run(script, SIFT_YAML)
            assert code == 0, out + err
        export(load_recipe(SIFT_YAML), "model")
    return folder


@dataclass(frozen=True)
class Mistake:
    name: str
    command: tuple[str, ...]
    says: str
    arrange: object = lambda: None
    code: int = 2
    finishes: tuple[str, ...] = ()  # marks of stages that are done all the same


def edit(path, old, new):
    """An arrangement: change a text file."""

    def arrange():
        text = Path(path).read_text(encoding="utf-8")
        changed = re.sub(old, new, text, flags=re.MULTILINE)
        assert changed != text, f"{old} is not in {path}"
        Path(path).write_text(changed, encoding="utf-8")

    return arrange


def yaml(old, new):
    return edit(SIFT_YAML, old, new)


def add(line):
    return lambda: Path(SIFT_YAML).write_text(Path(SIFT_YAML).read_text() + line + "\n")


def cut(path, share=0.5):
    def arrange():
        content = Path(path).read_bytes()
        Path(path).write_bytes(content[: int(share * len(content))])

    return arrange


def remove(*paths):
    def arrange():
        for path in map(Path, paths):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return arrange


def rewrite(path, kind, change):
    """An arrangement: change the records of a file."""

    def arrange():
        records = change(list(Records(path, kind)))
        Path(path).unlink()
        write_records(path, records, kind=kind)

    return arrange


def repeat_last_line(path):
    return lambda: Path(path).write_text(
        "".join((lines := Path(path).read_text().splitlines(True)) + lines[-1:])
    )


def weights(path, *, without=None):
    """An arrangement: weights that lack one."""

    def arrange():
        from safetensors.torch import load_file, save_file

        tensors = load_file(path)
        del tensors[next(name for name in tensors if without in name)]
        save_file(tensors, path, metadata={"format": "pt"})

    return arrange


def both(*arrangements):
    return lambda: [arrange() for arrange in arrangements]


restart = remove("exp/sift/.train.done.json", "exp/sift/checkpoints")

unmark = remove("exp/sift/targets/.generate_train.done.json")  # or targets that were edited are refused


def write_table(text, path="table.csv"):
    return lambda: Path(path).write_text(text)


def write_head(width):
    """An arrangement: a CTC head for frames of a width, in models/head."""

    def arrange():
        import torch
        from safetensors.torch import save_file

        Path("models/head").mkdir()
        save_file(
            {"weight": torch.zeros(2, width), "bias": torch.zeros(2)}, "models/head/ctc_head.safetensors"
        )
        Path("models/head/ctc_tokens.json").write_text('["", "nine"]')

    return arrange


NARROW = """\
import torch


class Narrow(torch.nn.Linear):
    def __init__(self):
        super().__init__(8, 2)

    def transcribe(self, frames, lengths):
        return [str(row.argmax()) for row in self(frames)]
"""
GENERATE, TRAIN, DECODE, SCORE = ((script, SIFT_YAML) for script in STAGES)
PREPARE = ("auralign", "prepare", "table.csv", "data/new.jsonl")
ASK = ("auralign", "ask", "model", "data/test-0.flac", "sort")
CONFIG, WEIGHTS = "model/auralign.json", "model/trainable.safetensors"

MISTAKES = [
    # the YAML and the command line
    Mistake("an unknown method", GENERATE, r"no alignment method 'sifft'\. Did you mean 'sift'\?", yaml("name: sift", "name: sifft")),
    Mistake("an unknown option of a method", GENERATE, r"'sift' .* does not take these options \(flavour\)", yaml("name: sift", "name: sift\n    flavour: hot")),
    Mistake("an unknown key", TRAIN, r"hparams/sift.yaml: unknown key 'lrr'; did you mean 'lr'\?", add("lrr: 1")),
    Mistake("a key used twice", TRAIN, r"hparams/sift.yaml:\d+: the key 'lr' is given twice; keep one", add("lr: 2")),
    Mistake("a key that is not there", TRAIN, r"hparams/sift.yaml: lacks 'num_steps' \(optimiser steps\)", yaml("^num_steps.*\n", "")),
    Mistake("a word for a number", TRAIN, r"num_steps: 'ten' is str; expected int", yaml("^num_steps.*", "num_steps: ten")),
    Mistake("a word for a learning rate", TRAIN, r"lr: 'fast' is no number", yaml("^lr.*", "lr: fast")),
    Mistake("no steps", TRAIN, r"num_steps: 0 must be a number of at least 1", yaml("^num_steps.*", "num_steps: 0")),
    Mistake("a learning rate that is no number", TRAIN, r"lr: nan must be a number of at least 0", yaml("^lr.*", "lr: .nan")),
    Mistake("YAML that does not parse", TRAIN, r"hparams/sift.yaml: while parsing", yaml("^lr.*", "lr: [1")),
    Mistake("a constructor that is not there", TRAIN, r"hparams/sift.yaml: .*load_wisper", yaml("load_whisper", "load_wisper")),
    Mistake("a module that is not there", TRAIN, r"hparams/sift.yaml: .*auralign\.modles", yaml("auralign.models.encoders", "auralign.modles.encoders")),
    Mistake("a reference to nothing", TRAIN, r"hparams/sift.yaml: .*nowhere", yaml("^data_folder.*", "data_folder: !ref <nowhere>/x")),
    Mistake("an argument that a part does not take", TRAIN, r"StackAndProject.*strides", both(restart, yaml("stride: 8", "strides: 8"))),
    Mistake("a word that is not among those", TRAIN, r"feature_cache: 'ram': use memory or disk or off", yaml("^feature_cache.*", "feature_cache: ram")),
    Mistake("a precision that is not", TRAIN, r"precision: 'fp8': use fp32 or bf16 or fp16", add("precision: fp8")),
    Mistake("a device that is not there", TRAIN, r"device 'cuda:77': .*use cpu", both(restart, add("device: cuda:77"))),
    Mistake("a YAML that is not UTF-8", TRAIN, r"hparams/sift.yaml: not UTF-8", lambda: Path(SIFT_YAML).write_bytes(Path(SIFT_YAML).read_bytes() + b"# caf\xe9\n")),
    Mistake("a stop string that is empty", TRAIN, r"stop_strings \[''\]: give a list of strings that are not empty", both(restart, yaml("decode_stop_strings: .*", "decode_stop_strings: ['']"))),
    Mistake("a limit of no tokens", TRAIN, r"tokens_per_second 0.0: give a number above 0", both(restart, add("decode_tokens_per_second: 0"))),
    Mistake("an unknown option", (*TRAIN, "--lrr", "1"), r"no key 'lrr' to override; did you mean 'lr'\?"),
    Mistake("an option without its value", (*TRAIN, "--lr"), r"the option --lr needs a value"),
    Mistake("an option of another type", (*TRAIN, "--num_steps", "ten"), r"--num_steps ten: expected int"),
    Mistake("no YAML", ("train.py",), r"expected one YAML, found 0"),
    Mistake("a YAML that is not there", ("train.py", "hparams/sfit.yaml"), r"no hparams/sfit.yaml here; .*here are: sift"),
    Mistake("an unknown stage", ("bash", "run.sh", "--stage", "trian"), r"unknown stage 'trian'; stages: 0 corpus, 1 prepare"),
    Mistake("an unknown option of run.sh", ("bash", "run.sh", "--stge", "3"), r"unknown option --stge; did you mean --stage\?"),
    Mistake("an unknown method of run.sh", ("bash", "run.sh", "--method", "sfit"), r"no hparams/sfit.yaml; there are: "),
    # manifests and targets
    Mistake("no manifest", GENERATE, r"no data/train.jsonl; run stage 1 \(prepare\) first", remove("data/train.jsonl")),
    Mistake("a manifest cut in a line", GENERATE, r"data/train.jsonl:\d+: the last line is cut", cut("data/train.jsonl", 0.7)),
    Mistake("a manifest that is no JSON", GENERATE, r"data/train.jsonl:3: not a JSON object", edit("data/train.jsonl", r'^\{"id": "train-1"', '"id"')),
    Mistake("a manifest that is not UTF-8", GENERATE, r"data/train.jsonl:14: not UTF-8", lambda: Path("data/train.jsonl").write_bytes(Path("data/train.jsonl").read_bytes() + b'{"id": "caf\xe9"}\n')),
    Mistake("a manifest with an unknown field", GENERATE, r"data/train.jsonl:2: .*lacks text; unknown field txt", edit("data/train.jsonl", '"text"', '"txt"')),
    Mistake("a manifest of another kind", GENERATE, r"data/train.jsonl:1: holds Target records; Utterance records are needed", edit("data/train.jsonl", '"Utterance"', '"Target"')),
    Mistake("a manifest of a later version", GENERATE, r"data/train.jsonl:1: schema version 9; this auralign reads 1", edit("data/train.jsonl", '"version": 1', '"version": 9')),
    Mistake("an id used twice", GENERATE, r"data/train.jsonl: the id 'train-11' is used twice, on the lines 13 and 14", repeat_last_line("data/train.jsonl")),
    Mistake("no targets", TRAIN, r"no exp/sift/targets/train.jsonl; run stage 2 \(generate\) first", remove("exp/sift/targets/train.jsonl")),
    Mistake("targets cut in a line", TRAIN, r"targets/train.jsonl:\d+: the last line is cut", both(restart, cut("exp/sift/targets/train.jsonl", 0.7))),
    Mistake("targets that were edited", TRAIN, r"targets/train.jsonl: is not what the stage wrote, which \.generate_train\.done\.json records .*run that stage again, or .* delete exp/sift/targets/\.generate_train\.done\.json", both(restart, edit("exp/sift/targets/train.jsonl", '"seed": 1', '"seed": 2'))),
    Mistake("targets of another LLM", TRAIN, r"target \w+ of train-0 was made with LLM [\w-]+, the recipe now gives [\w-]+; run stage 2 again", both(restart, yaml("path: models/llm", "path: models/other"))),
    Mistake("targets of another template", TRAIN, r"was made with prompt frame .*; run stage 2 again", both(restart, add("system_prompt: be brief"))),
    Mistake("targets of another method", TRAIN, r"was made with method sift 0", both(restart, unmark, rewrite("exp/sift/targets/train.jsonl", Target, lambda all_: [replace(t, method_version="0") for t in all_]))),
    Mistake("a target about nobody", TRAIN, r"targets/train.jsonl: has a target of gone, which is not in data/train.jsonl; run stage 2 again", both(restart, unmark, rewrite("exp/sift/targets/train.jsonl", Target, lambda all_: [replace(all_[0], utt_id="gone")]))),
    Mistake("a question about nobody", DECODE, r"data/test.jsonl: no id 'gone'", rewrite("data/test.questions.jsonl", Question, lambda all_: [replace(all_[0], utt_id="gone")])),
    Mistake("a question with no place for the speech", DECODE, r"the instruction 'sort' needs exactly one \{speech\}", rewrite("data/test.questions.jsonl", Question, lambda all_: [replace(all_[0], instruction="sort")])),
    # audio
    Mistake("audio that is gone", TRAIN, r"train-3.flac: .*No such file|train-3.flac: cannot be read as audio", both(restart, remove("data/train-3.flac"))),
    Mistake("audio that was cut", TRAIN, r"train-3.flac: ", both(restart, cut("data/train-3.flac"))),
    Mistake("audio shorter than its manifest says", TRAIN, r"train-3.flac: 0\.70 s of 5\.00 s are there", both(restart, rewrite("data/train.jsonl", Utterance, lambda all_: [replace(u, seconds=5.0) if u.id == "train-3" else u for u in all_]))),
    Mistake("test speech longer than the encoder hears", DECODE, r"data/test.jsonl: 1 test utterances are too long; test-0 lasts 31.00 s", rewrite("data/test.jsonl", Utterance, lambda all_: [replace(all_[0], seconds=31.0), *all_[1:]]), finishes=(".decode_text.done.json", ".decode_other_text.done.json")),
    # models
    Mistake("no LLM", GENERATE, r"no LLM at models/llm: expected a Hugging Face folder", remove("models/llm")),
    Mistake("an LLM without a chat template", GENERATE, r"has no chat template; use an instruction-tuned LLM", remove("models/llm/chat_template.jinja")),
    Mistake("an LLM whose weights were cut", GENERATE, r"models/llm: its weights are not whole", cut("models/llm/model.safetensors")),
    Mistake("an LLM that lacks weights", GENERATE, r"models/llm lacks 1 weights, such as ", weights("models/llm/model.safetensors", without="q_proj")),
    Mistake("an LLM without a tokenizer", GENERATE, r"generate.py: error: .*tokenizer", remove("models/llm/tokenizer.json", "models/llm/tokenizer_config.json")),
    Mistake("an LLM whose config is broken", GENERATE, r"config.json", cut("models/llm/config.json")),
    Mistake("no encoder", TRAIN, r"no config.json in models/encoder", both(restart, remove("models/encoder"))),
    Mistake("an LLM for an encoder", TRAIN, r"models/llm holds a model of type .qwen2|llama.; expected whisper", both(restart, yaml("path: models/encoder", "path: models/llm"))),
    Mistake("an encoder whose weights were cut", TRAIN, r"models/encoder: its weights are not whole", both(restart, cut("models/encoder/model.safetensors"))),
    Mistake("an encoder that lacks weights", TRAIN, r"models/encoder lacks 1 encoder weights, such as", both(restart, weights("models/encoder/model.safetensors", without="encoder.layers.0.fc1.weight"))),
    Mistake("a layer that the encoder has not", TRAIN, r"layers \[9\]: name one or more of 0 to 2", both(restart, yaml("path: models/encoder", "path: models/encoder\n    layers: [9]"))),
    Mistake("a recognizer for frames of another width", TRAIN, r"recognizer: models/head/ctc_head.safetensors is for frames of width 24, the encoder's have 16; use", both(restart, write_head(24), add("recognizer: !name:auralign.models.recognizers.load_ctc {path: models/head}"))),
    Mistake("a recognizer for an encoder as wide as two layers", TRAIN, r"is for frames of width 32, the encoder's have 16; use", both(restart, write_head(32), yaml("path: models/encoder", "path: models/encoder\n    layers: [1, 2]"), add("recognizer: !name:auralign.models.recognizers.load_ctc {path: models/head}"))),
    Mistake("a recognizer of one's own that reads another width", TRAIN, r"recognizer: narrow.Narrow cannot read the encoder's frames, 50 of width 16 in a second \(RuntimeError", both(restart, write_table(NARROW, "narrow.py"), add("recognizer: !name:narrow.Narrow"))),
    Mistake("a recognizer that is not there", TRAIN, r"no ctc_head.safetensors in models/encoder", both(restart, add("recognizer: !name:auralign.models.recognizers.load_ctc {path: models/encoder}"))),
    Mistake("LoRA on modules that are not there", TRAIN, r"\[?'?nowhere", both(restart, add("lora: !name:peft.LoraConfig\n    target_modules: [nowhere]"))),
    # checkpoints
    Mistake("decoding before training", DECODE, r"stage 3 \(train\) is not finished in exp/sift; run it first", remove("exp/sift/.train.done.json")),
    Mistake("a checkpoint for another LLM", DECODE, r"was trained with LLM [\w-]+, this is [\w-]+ \(config .*model_type was ", yaml("path: models/llm", "path: models/other")),
    Mistake("a checkpoint of another connector", DECODE, r"trained with connector .*train again", yaml("stride: 8", "stride: 4")),
    Mistake("no checkpoint that is whole", DECODE, r"no checkpoint in exp/sift/checkpoints; run stage 3", lambda: [cut(path)() for path in Path("exp/sift/checkpoints").glob("*/trainable.safetensors")]),
    Mistake("scoring before decoding", SCORE, r"no exp/sift/hypotheses/test.speech.jsonl; run stage 4 \(decode\) first", remove("exp/sift/hypotheses/test.speech.jsonl")),
    Mistake("scoring answers to other questions", SCORE, r"run stage 4 \(decode\) again", rewrite("data/test.questions.jsonl", Question, lambda all_: [replace(q, key=f"new {q.key}") for q in all_])),
    # folders
    Mistake("a folder that cannot be written", (*GENERATE, "--output_folder", "/sys/auralign"), r"generate.py: error: /sys/auralign[^:]*: (Operation not permitted|Permission denied|Read-only file system)"),
    Mistake("a file where a folder goes", (*GENERATE, "--output_folder", "data/train.jsonl"), r"data/train.jsonl[^:]*: (Not a directory|File exists)"),
    Mistake("a mark that is broken", TRAIN, r"\.train\.done\.json:\d+: not JSON .*delete the file and run the stage again", cut("exp/sift/.train.done.json")),
    # own data
    Mistake("a source that is not there", ("auralign", "prepare", "gone.csv", "data/new.jsonl"), r"no gone.csv; give a table"),
    Mistake("an empty folder", ("auralign", "prepare", "empty", "data/new.jsonl"), r"empty: neither a Kaldi data folder", lambda: Path("empty").mkdir()),
    Mistake("an empty table", PREPARE, r"table.csv: holds no rows", write_table("")),
    Mistake("a manifest of another name", ("auralign", "prepare", "table.csv", "data/new.csv"), r"data/new.csv: the manifest's name ends in .jsonl", write_table("path,text\n")),
    Mistake("a row too short", PREPARE, r"table.csv:3: does not have the 2 columns of the header", write_table("path,text\ndata/test-0.flac,one\ndata/test-1.flac\n")),
    Mistake("an id used twice in a table", PREPARE, r"table.csv:3: the id 'a' is used twice, first at table.csv:2, and not of the same audio", write_table("id,path,text\na,data/test-0.flac,one\na,data/test-1.flac,two\n")),
    Mistake("all audio gone", PREPARE, r"1 of 1 rejected \(no such file: 1\), more than the limit of 1.0%; the first is gone \(.*gone.wav\); reasons in data/new.rejected.jsonl", write_table("path,text\ngone.wav,one\n")),
    Mistake("a mapping that is none", (*PREPARE, "--column", "text"), r"--column text: expected NAME=VALUE", write_table("path,text\n")),
    Mistake("a column that is not there", (*PREPARE, "--column", "text=words"), r"table.csv:2: no column 'words'; columns are path, text", write_table("path,text\na.wav,one\n")),
    Mistake("an instruction with no place for the speech", (*PREPARE, "--ask", "sort"), r"the instruction 'sort' needs exactly one \{speech\}", write_table("path,text\n")),
    Mistake("word times from nowhere", ("auralign", "align", "data/test.jsonl"), r"one of the arguments --textgrids --librispeech --recipe is required"),
    Mistake("word times for no manifest", ("auralign", "align", "data/gone.jsonl", "--textgrids", "data"), r"no manifest at data/gone.jsonl; write it first: auralign prepare"),
    Mistake("no TextGrid", ("auralign", "align", "data/test.jsonl", "--textgrids", "data"), r"data: holds no \*.TextGrid; give the folder that does"),
    Mistake("a TextGrid that was cut", ("auralign", "align", "data/test.jsonl", "--textgrids", "data"), r"data/test.jsonl: 0 of 4 utterances .*no TextGrid: 3\); the first is test-0 \(data/test-0.TextGrid:1: .*found the end", lambda: Path("data/test-0.TextGrid").write_text('File type = "ooTextFile"')),
    Mistake("word times of a recipe without a recognizer", ("auralign", "align", "data/test.jsonl", "--recipe", "sift"), r"hparams/sift.yaml: names no recognizer to align with; give one, such as"),
    # use
    Mistake("a model folder that is not there", ("auralign", "ask", "gone", "a.wav", "sort"), r"there is no folder gone; give a folder that `auralign export` wrote"),
    Mistake("a model folder whose list is broken", ASK, r"model/auralign.json:\d+: not JSON", cut(CONFIG)),
    Mistake("a model folder whose list lacks an entry", ASK, r"model/auralign.json: lacks frame_hash", edit(CONFIG, '"frame_hash"', '"other"')),
    Mistake("a model folder whose weights were cut", ASK, r"trainable.safetensors: is not as it was exported: its SHA-256 differs", cut(WEIGHTS)),
    Mistake("a model folder whose list was changed", ASK, r"auralign.json: is not as it was exported.* --llm", edit(CONFIG, "models/llm", "models/gone")),
    Mistake("a model folder whose LLM is gone", ASK, r"auralign.json: .* llm .*models/gone", both(edit(CONFIG, "models/llm", "models/gone"), edit(CONFIG, r',\s*"sha256": {[^{}]*}', ""))),
    Mistake("a prompt with two places for the speech", (*ASK[:-1], "{speech} {speech}"), r"needs exactly one \{speech\}"),
    Mistake("audio that is none", ("auralign", "ask", "model", SIFT_YAML, "sort"), r"hparams/sift.yaml: cannot be read as audio", code=1),
    Mistake("an utterance that is not there", ("auralign", "show", "sift", "--utt", "gone"), r"no utterance 'gone' in data/train.jsonl"),
    Mistake("a method without a YAML", ("auralign", "show", "sit"), r"no hparams/sit.yaml here; .*here are: sift"),
    Mistake("an export over a folder", ("auralign", "export", "sift", "model"), r"model is there already"),
    Mistake("a YAML that is a table", ("train.py", "table.csv"), r"table.csv: holds no keys", write_table("path,text\n")),
    Mistake("a word for a number of a part", TRAIN, r"connector: cannot be built with the arguments of the YAML, .*'stride': 'eight'", both(restart, yaml("stride: 8", "stride: eight"))),
    Mistake("another method into one folder", GENERATE, r"exp/sift/targets holds a run of the method 'sift', this is 'diva'; give it its own output_folder", yaml("name: sift", "name: diva")),
    Mistake("an encoder for an LLM", GENERATE, r"models/encoder", yaml("path: models/llm", "path: models/encoder")),
    Mistake("an audio folder that is not there", (*PREPARE, "--audio-folder", "clip"), r"--audio-folder clip: no such folder", write_table("path,text\na.wav,one\n")),
    Mistake("a table without a header", PREPARE, r"table.csv:2: the column of the audio was not found; .*if the table has no header, name its columns: --names", write_table("a.wav|one\nb.wav|two\n")),
    Mistake("a condition that is none", (*PREPARE, "--where", "split"), r"--where 'split' is not a condition; give COLUMN=VALUE, or !=", write_table("path,text\na.wav,one\n")),
    Mistake("a condition on no column", (*PREPARE, "--where", "splt=x"), r"table.csv:2: no column 'splt'; columns are path, text", write_table("path,text\na.wav,one\n")),
    Mistake("a number that is none", (*PREPARE, "--where", "text>2"), r"table.csv:2: the text 'one' is not a number, as 'text > 2' needs", write_table("path,text\na.wav,one\n")),
    Mistake("a dataset that cannot be reached", ("auralign", "prepare", "hf://nobody/nothing", "data/new.jsonl"), r"hf://nobody/nothing: cannot be loaded \(.*HF_HUB_OFFLINE is set"),
    Mistake("a table that is no manifest of cuts", (*PREPARE[:2], "data/test.jsonl", PREPARE[3], "--form", "lhotse"), r"data/test.jsonl: no manifest of lhotse's cuts"),
    Mistake("a misspelt slot", (*ASK[:-1], "sort {speach}"), r"the prompt holds \{speach\}; did you mean \{speech\}\?"),
    Mistake("an LLM that is not where it is said to be", (*ASK, "--llm", "nowhere"), r"no llm at nowhere"),
    Mistake("a method that is not installed", ("auralign", "methods", "sifft"), r"no alignment method 'sifft'\. Did you mean 'sift'\?"),
]  # fmt: skip


@pytest.fixture
def recipe(whole, tmp_path, monkeypatch):
    """A copy of the whole recipe, and the present folder."""
    monkeypatch.chdir(shutil.copytree(whole, tmp_path / "r"))
    return tmp_path / "r"


def check_said(code, err, mistake):
    assert code == mistake.code, err
    line = err.strip().splitlines()[-1]
    assert re.search(mistake.says, line), err
    assert "Traceback" not in err


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_is_said_in_one_line(recipe, mistake):
    if mistake.command == GENERATE:
        restart()  # or stage 2 would refuse to replace what was trained on
    mistake.arrange()
    before = finished(recipe)
    script, *arguments = mistake.command
    if script == "bash":
        found = subprocess.run(
            ["bash", DIGITS / arguments[0], *arguments[1:]], capture_output=True, text=True
        )
        check_said(found.returncode, found.stderr, mistake)
        return
    code, out, err = run(script, *arguments)
    check_said(code, err, mistake)
    new = {name for name, _ in finished(recipe) - before}
    assert new == set(mistake.finishes), "a stage that failed says that it is done"


def finished(folder):
    """Marks of finished stages, with what they say."""
    return {(path.name, path.read_bytes()) for path in folder.rglob(".*.done.json")}


BROKEN_HOOKS = [
    ("choices", lambda self, utterance, rng: [1 / 0], GENERATE, r"method 'sift': choices for train-0 raised ZeroDivisionError: division by zero"),
    ("choices", lambda self, utterance, rng: ["all"], GENERATE, r"method 'sift': choices for train-0 gave str; it must give Choice"),
    ("layout", lambda self, utterance, choice, response: None, GENERATE, r"method 'sift': layout for train-0 gave NoneType; it must give Layout"),
    ("loss", lambda self, views: {}["x"], TRAIN, r"method 'sift': loss raised KeyError: 'x'"),
    ("given_response", lambda self, utterance, choice: 5, GENERATE, r"method 'sift': given_response for train-0 gave int; it must give str"),
    ("loss", lambda self, views: views["student"].cross_entropy("target"), TRAIN, r"method 'sift': loss must return a dict of at least one Term by name; it returned Term"),
    ("loss", lambda self, views: {"x": 1.0}, TRAIN, r"method 'sift': its loss returns float as 'x'; return a Term\("),
]  # fmt: skip


@pytest.mark.parametrize(
    ("hook", "broken", "command", "says"),
    BROKEN_HOOKS,
    ids=[f"{row[0]}-{row[3][-20:]}" for row in BROKEN_HOOKS],
)
def test_a_method_that_fails_is_named(recipe, monkeypatch, hook, broken, command, says):
    shutil.rmtree("exp/sift") if command is GENERATE else restart()
    monkeypatch.setattr(SIFT, hook, broken)
    code, _, err = run(*command)
    check_said(code, err, Mistake("", (), says))


def test_a_second_run_in_one_folder_waits_its_turn(recipe):
    Path("exp/sift/.train.done.json").unlink()
    with Stage("train", "exp/sift", inputs={}, outputs=[]):
        code, _, err = run(*TRAIN)
    check_said(
        code,
        err,
        Mistake("", (), r"train: another run \(process \d+\) is at work in exp/sift; wait for it", code=3),
    )


def test_ctrl_c_is_no_loss(recipe, whole, monkeypatch):
    from auralign.train.brain import AlignmentBrain

    shutil.rmtree("exp/sift/checkpoints")
    real, calls = AlignmentBrain.fit_batch, []

    def interrupt(self, packs):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return real(self, packs)

    monkeypatch.setattr(AlignmentBrain, "fit_batch", interrupt)
    code, _, err = run(*TRAIN)
    check_said(code, err, Mistake("", (), r"interrupted; run the same command again to go on", code=130))
    assert run(*TRAIN)[0] == 0
    assert contents(recipe / "exp" / "sift") == contents(whole / "exp" / "sift")


@pytest.mark.parametrize(("script", "kilobytes"), [("generate.py", 2), ("train.py", 6), ("decode.py", 1)])
def test_a_full_disk_is_named_and_is_no_loss(recipe, whole, script, kilobytes):
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({1024 * kilobytes}, resource.RLIM_INFINITY))\n"
    remove("exp")()
    for before in STAGES[: STAGES.index(script)]:
        assert run(before, SIFT_YAML)[0] == 0
    code = f"{limit}import runpy, sys; sys.argv = {[script, SIFT_YAML]!r}; runpy.run_path({script!r}, run_name='__main__')"
    # Python takes no notice of a bytecode file that it could write only in part, and would leave it for all who come after.
    found = run_python(f"import sys; sys.dont_write_bytecode = True\n{code}")
    says = rf"{script}: error: exp/\S+: File too large; make room and run the same command again"
    check_said(found.returncode, found.stderr, Mistake("", (), says))
    for after in STAGES[STAGES.index(script) :]:
        assert run(after, SIFT_YAML)[0] == 0
    assert contents(recipe / "exp") == contents(whole / "exp")


TEXTS = [
    "tab\tand\nline",
    "nul\0byte",
    "🙂‍↕️ three",
    "مرحبا three",
    "<|im_end|> three <|im_start|>",
    "{speech}",
    "\u2028 three",
]


def test_text_of_any_kind_goes_through_every_stage(recipe):
    remove("exp")()
    for split in ("train", "valid", "test"):
        path = f"data/{split}.jsonl"
        change = [replace(u, text=TEXTS[n % len(TEXTS)]) for n, u in enumerate(Records(path, Utterance))]
        Path(path).unlink()
        write_records(path, change, kind=Utterance)
    for script in STAGES:
        code, out, err = run(script, SIFT_YAML)
        assert code == 0, out + err
    targets = Records("exp/sift/targets/train.jsonl", Target)
    assert {target.utt_id for target in targets} == {f"train-{n}" for n in range(12)}


def test_what_is_wrong_with_each_recording_is_listed(recipe):
    import numpy as np
    import soundfile

    sound = np.sin(np.arange(16_000) / 10).astype(np.float32)
    nan = sound.copy()
    nan[5] = np.nan
    soundfile.write("good.wav", sound, 16_000)
    soundfile.write("slow.wav", sound, 8_000)
    soundfile.write("stereo.wav", np.stack([sound, sound], axis=1), 16_000)
    soundfile.write("silent.wav", 0 * sound, 16_000)
    soundfile.write("cut.wav", sound, 16_000)
    soundfile.write("cut.flac", np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
    soundfile.write("nan.wav", nan, 16_000, subtype="FLOAT")
    soundfile.write("nothing.wav", sound[:0], 16_000)
    soundfile.write("long.wav", np.tile(sound, 301)[:, None], 16_000)
    soundfile.write("labelled.wav", sound, 16_000)
    cut("cut.wav")()
    cut("cut.flac")()
    Path("text.wav").write_text("no sound")
    Path("empty.wav").write_bytes(b"")
    names = "good slow stereo silent cut nan nothing long text empty gone".split()
    rows = [f"{name}.wav,one,{name}," for name in names]
    rows += [
        "cut.flac,one,cut flac,",
        "labelled.wav,one,mislabelled,3.0",
        "good.wav,,no text,",
        "good.wav,one,bad times,-1",
    ]
    Path("table.csv").write_text("path,text,id,duration\n" + "\n".join(rows) + "\n")
    code, out, err = run("auralign", "prepare", "table.csv", "data/new.jsonl", "--max-rejected", "0.8")
    assert code == 0, err
    kept = {u.id: u.seconds for u in Records("data/new.jsonl", Utterance)}
    assert kept == {"good": 1.0, "slow": 2.0, "stereo": 1.0, "silent": 1.0}
    assert "1 resampled to 16000 Hz" in out
    assert "1 averaged over their channels" in out
    assert "1 silent" in out
    listed = {
        item["id"]: item for item in map(json.loads, Path("data/new.rejected.jsonl").read_text().splitlines())
    }
    says = {
        "cut": "bytes of samples are there; was the file cut",
        "cut flac": "cut.flac: ",
        "nan": "not finite",
        "nothing": "holds no samples",
        "text": "cannot be read as audio",
        "empty": "cannot be read as audio",
        "gone": "gone.wav",
        "mislabelled": "1.00 s of 3.00 s are there",
        "long": "301.00 s",
        "bad times": "lasts -1 s",
    }
    assert listed.keys() == says.keys() | {"no text"}
    for name, words in says.items():
        assert words in listed[name]["detail"], name
    assert listed["long"]["reason"] == "longer than 300 s"
