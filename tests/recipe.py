"""A whole recipe on tiny models in a temporary folder: the scripts of egs/digits, a dozen tones, a YAML."""

import io
import json
import runpy
import shutil
import subprocess
import sys
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import soundfile

from auralign import cli
from auralign.generate.engine import TransformersEngine
from auralign.generate.targets import TargetWriter
from auralign.models.build import build_model
from auralign.recipe import load_recipe
from auralign.records import Question, Records, Target, Utterance, write_records
from auralign.testing import make_speech
from processes import run_python

DIGITS = Path(__file__).parent.parent / "egs" / "digits"
SMOKE = "hparams/smoke.yaml"
MIDDLE = ("generate", "train", "decode")  # the stages between those that are of a corpus
WORDS = "three five nine sort again please words above".split()

YAML = """\
seed: 1
data_folder: data
text_folder: exp/text
score_folder: exp/ledger
output_folder: exp/{method}
llm: !name:auralign.models.llm.load_llm
    path: {llm}
encoder: !name:auralign.models.encoders.load_whisper
    path: {encoder}
method: !apply:auralign.plugins.load_method
    name: {method}
max_new_tokens: 8
connector: !name:auralign.models.connectors.StackAndProject
    stride: 8
    keep_remainder: True
lr: 1.0e-2
num_steps: 10
num_warmup_steps: 2
tokens_per_step: 200
tokens_per_pack: 100
valid_every: 4
num_shown: 1
feature_cache: {cache}
max_rejected: 0.5
decode_max_new_tokens: 8
generate_batch_size: 4
decode_batch_size: 4
"""

# The keys of a YAML that is only read: those that are neither a folder nor a part of the model.
NUMBERS = """\
max_new_tokens: 8
lr: 1.0e-3
num_steps: 10
num_warmup_steps: 2
tokens_per_step: 100
tokens_per_pack: 100
valid_every: 5
feature_cache: memory
decode_max_new_tokens: 8
"""

LORA = """\
lora: !name:peft.LoraConfig
    r: 2
    lora_dropout: 0.2
    target_modules: [q_proj, v_proj]
"""


def make_recipe(folder, *, llm, encoder, method="sift", cache="memory", more=""):
    """Write scripts, data and `hparams/<method>.yaml`, with the lines of `more` at its end, into `folder`."""
    folder = Path(folder)
    (folder / "hparams").mkdir(parents=True)
    for script in ("generate.py", "train.py", "decode.py"):
        shutil.copy(DIGITS / script, folder)
    yaml = YAML.format(method=method, llm=llm, encoder=encoder, cache=cache) + more
    (folder / "hparams" / f"{method}.yaml").write_text(yaml, encoding="utf-8")
    for split, number in (("train", 12), ("valid", 3), ("test", 4)):
        write_records(
            folder / "data" / f"{split}.jsonl",
            [make_utterance(folder / "data", split, n) for n in range(number)],
            kind=Utterance,
        )
    questions = [
        Question(
            key=f"q{n}",
            utt_id=f"test-{n}",
            group="seen tasks",
            task="repeat",
            instruction="repeat {speech}",
            reference="x",
        )
        for n in range(4)
    ]
    write_records(folder / "data" / "test.questions.jsonl", questions, kind=Question)
    return folder


def make_counting_recipe(folder, *scripts, llm, encoder, more=""):
    """A recipe of wav2prompt whose connector counts tokens, with the arguments of `more`, after two steps of `scripts`."""
    folder = make_recipe(folder, llm=llm, encoder=encoder, method="wav2prompt")
    yaml = folder / "hparams" / "wav2prompt.yaml"
    cif = f"connectors.ContinuousIntegrateAndFire\n    hidden_width: 16\n{more}"
    stack = "connectors.StackAndProject\n    stride: 8\n    keep_remainder: True\n"
    yaml.write_text(yaml.read_text().replace(stack, cif))
    for script in scripts:
        run_script(folder, script, "hparams/wav2prompt.yaml", "--num_steps", "2")
    return folder


def write_targets(manifest, path, *, method, model, renderer, max_rejected=0.5):
    """Write the targets of a method for a manifest, six tokens each; returns them."""
    writer = TargetWriter(
        method,
        renderer,
        TransformersEngine(model.llm, renderer, batch_size=4),
        llm_name="tiny",
        llm_revision=model.llm.revision,
        decoding={"max_new_tokens": 6, "temperature": 0.0},
        seed=1,
        max_rejected=max_rejected,
    )
    writer.write(manifest, path)
    return Records(path, Target)


def write_recipe_targets(folder):
    """Write `train.targets.jsonl` and `valid.targets.jsonl` of a recipe's `sift.yaml` into its folder; returns the folder."""
    hparams = load_recipe(folder / "hparams" / "sift.yaml")
    model, renderer = build_model(hparams)
    for split in ("train", "valid"):
        manifest = Records(folder / "data" / f"{split}.jsonl", Utterance)
        path = folder / f"{split}.targets.jsonl"
        write_targets(manifest, path, method=hparams.method, model=model, renderer=renderer)
    return folder


def make_utterance(folder, split, number):
    """One tone with a few words, as FLAC beside the manifest."""
    seconds = 0.4 + 0.1 * (number % 5)
    name = f"{split}-{number}"
    folder.mkdir(exist_ok=True)
    soundfile.write(folder / f"{name}.flac", make_speech(seconds, seed=number), 16_000)
    text = " ".join(WORDS[(number + place) % len(WORDS)] for place in range(2 + number % 3))
    return Utterance(id=name, audio=f"{name}.flac", seconds=seconds, text=text)


def run(script, *arguments):
    """Run a recipe's script or `auralign` in this process, in the present folder: exit code, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        patch.setattr(sys, "argv", [script, *arguments])
        patch.syspath_prepend(str(Path.cwd()))
        try:
            cli.main() if script == "auralign" else runpy.run_path(script, run_name="__main__")
        except SystemExit as stop:
            return stop.code or 0, out.getvalue(), err.getvalue()
    raise AssertionError(f"{script} did not exit")


def run_script(folder, name, *arguments, killed_at=None, check=True):
    """Run a stage's script in its recipe; `killed_at=(function of os, nth call)` ends it there as kill -9 would, in a process
    of its own."""
    if killed_at is None:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            found = subprocess.CompletedProcess((name, *arguments), *run(name, *arguments))
    else:
        where, nth = killed_at
        code = f"import runpy, sys; from processes import die_at; die_at({nth}, {where!r})\n"
        code += f"sys.argv = {[name, *arguments]!r}\n"
        code += f"runpy.run_path({name!r}, run_name='__main__')"
        found = run_python(code, cwd=folder)
    if check and found.returncode:
        raise AssertionError(f"{name} exited with {found.returncode}:\n{found.stdout}\n{found.stderr}")
    return found


def contents(folder):
    """The bytes of every file of a stage that does not hold the time of day, as TensorBoard's event files and the page do."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
        and "curves" not in path.parts
        and path.name != "report.html"
        and not path.name.startswith(".")
    }


def run_stages(folder, out, *, data, prepare="prepare.py", options=(), score="score.py", yaml=SMOKE, **keys):
    """All five stages of a recipe in this process, as run.sh starts them; gives what is in scores.json.

    Arguments
    ---------
    folder : path
        Where the recipe stands.
    out : path
        What the stages write goes there.
    data : path
        The corpus.
    prepare, score : str or callable (argv)
        A script of the recipe, or the `main` of one that is none.
    options : sequence of str
        Of prepare.py.
    yaml : str
    **keys
        Other values of the YAML.
    """
    places = {"data_folder": "data", "text_folder": "exp/text", "score_folder": "exp/ledger"}
    keys = {key: Path(out, place) for key, place in {**places, "output_folder": "exp/sift"}.items()} | keys
    told = [yaml, *(word for key, value in keys.items() for word in (f"--{key}", str(value)))]
    stages = [
        (prepare, ["--data", str(data), *options]),
        *((f"{name}.py", []) for name in MIDDLE),
        (score, []),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for stage, more in stages:
            if callable(stage):
                stage([*told, *more])
                continue
            code, printed, error = run(stage, *told, *more)
            if code:
                raise AssertionError(f"{stage} exited with {code}:\n{printed}\n{error}")
    return json.loads(Path(keys["score_folder"], "scores.json").read_text(encoding="utf-8"))
