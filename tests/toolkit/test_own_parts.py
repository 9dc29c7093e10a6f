"""Connectors and encoders of somebody's own: edited code is a changed input, and frames are never another encoder's."""

import functools
import sys
from pathlib import Path

import pytest
import torch

import auralign
from auralign.fingerprint import describe, own_files, same
from auralign.models.connectors import StackAndProject
from auralign.publish.export import export
from auralign.recipe import load_recipe
from auralign.records import Hypothesis, Records
from recipe import make_recipe, run

YAML = "hparams/sift.yaml"
PARTS = """\
from auralign.files import hash_path
from auralign.models.connectors import StackAndProject
from auralign.models.encoders import load_whisper


class MyConnector(StackAndProject):
    def forward(self, *arguments, **options):
        from my_layers import scale

        embeddings, *others = super().forward(*arguments, **options)
        return scale(embeddings), *others


def load_mine(path, named=True):
    encoder = load_whisper(path)
    encoder.fingerprint = "mine" if named else ""
    return encoder
"""
LAYERS = "def scale(embeddings):\n    return 1.0 * embeddings\n"


ENCODER = """\
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from auralign.files import hash_path, hash_value
from auralign.models.encoders import SpeechEncoder


class Spectra(SpeechEncoder):
    def __init__(self, path, **options):
        super().__init__(SimpleNamespace(sampling_rate=16_000), hidden_width=8, num_layers=1, **options)
        self.project = nn.Linear(81, 8)
        self.project.load_state_dict(torch.load(path))
        self.fingerprint = hash_value([hash_path(path), *self.options])
        self.freeze()

    @property
    def frames_per_second(self):
        return 100.0

    def num_chunk_frames(self, num_samples):
        return -(-num_samples // 160)

    def encode(self, waveforms):
        padded = [np.pad(one, (0, -len(one) % 160)).reshape(-1, 160) for one in waveforms]
        spectra = [torch.from_numpy(np.abs(np.fft.rfft(one)).astype(np.float32)).log1p() for one in padded]
        lengths = torch.tensor([len(one) for one in spectra])
        return self.project(nn.utils.rnn.pad_sequence(spectra, batch_first=True)), lengths
"""


@pytest.fixture
def recipe(tmp_path, make_llm, whisper_folder, monkeypatch):
    """A recipe with a connector and an encoder of its own, trained; and the present folder."""
    folder = make_recipe(tmp_path / "r", llm=make_llm("llama"), encoder=whisper_folder, cache="disk")
    text = (folder / YAML).read_text()
    text = text.replace("auralign.models.connectors.StackAndProject", "my_parts.MyConnector")
    text = text.replace("auralign.models.encoders.load_whisper", "my_parts.load_mine")
    (folder / YAML).write_text(text)
    (folder / "my_parts.py").write_text(PARTS)
    (folder / "my_layers.py").write_text(LAYERS)
    monkeypatch.chdir(folder)
    for script in ("generate.py", "train.py", "decode.py"):
        succeed(script)
    yield folder
    forget()


def forget():
    for name in ("my_parts", "my_layers", "my_encoder"):
        sys.modules.pop(name, None)


def start(script, *arguments):
    forget()  # as a process of its own would import them
    return run(script, YAML, *arguments)


def succeed(script, *arguments):
    code, out, err = start(script, *arguments)
    assert code == 0, out + err
    return out


def edit(path, old, new):
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


def caches():
    return {path.name for path in Path("data/frames").glob("train.*.npy")}


def test_parts_that_were_not_edited_are_complete(recipe):
    for script in ("generate.py", "train.py", "decode.py"):
        assert "already complete" in succeed(script)


@pytest.mark.parametrize(
    ("path", "old", "new", "said"),
    [
        ("my_parts.py", "class MyConnector", "class Unused:\n    pass\n\n\nclass MyConnector", r"connector.source "),
        ("my_layers.py", "1.0 *", "2.0 *", r"connector.source "),
        ("my_parts.py", "encoder = load_whisper(path)", "encoder = load_whisper(path)\n    path = 0", r"encoder.source "),
    ],
)  # fmt: skip
def test_an_edited_part_is_another_run(recipe, path, old, new, said):
    edit(path, old, new)
    code, _, err = start("train.py")
    assert code == 2
    assert "exp/sift holds a run, trained to step 10, that this one cannot continue: " in err
    assert said in err


def test_an_edited_connector_does_not_decode_what_another_was_trained_for(recipe):
    edit("my_layers.py", "1.0 *", "2.0 *")
    code, _, err = start("decode.py")
    assert (code, "step_00000010: trained with connector" in err) == (2, True), err


def test_an_edited_encoder_has_frames_of_its_own(recipe):
    before = caches()
    edit("my_parts.py", "encoder = load_whisper(path)", "encoder = load_whisper(path, padding='30_seconds')")
    succeed("train.py", "--restart")
    assert len(caches() - before) == 1


def test_another_option_of_ones_own_encoder_has_frames_of_its_own(recipe):
    before = caches()
    edit("my_parts.py", "def load_mine(path, named=True)", "def load_mine(path, named=True, unused=0)")
    succeed("train.py", "--restart")
    first = caches() - before
    edit(YAML, "my_parts.load_mine\n", "my_parts.load_mine\n    unused: 1\n")
    succeed("train.py", "--restart")
    assert len(caches() - before - first) == 1


@pytest.mark.parametrize("place", ["encoder", "branches: voice: encoder"])
def test_an_encoder_without_a_fingerprint_is_refused(recipe, place):
    if place == "encoder":
        edit(YAML, "my_parts.load_mine\n", "my_parts.load_mine\n    named: False\n")
    else:
        path = Path(YAML).read_text().split("encoder: !name:my_parts.load_mine\n    path: ")[1].split("\n")[0]
        branch = "encoder: !name:my_parts.load_mine {path: %s, named: False}" % path  # noqa: UP031 (braces)
        connector = "connector: !name:my_parts.MyConnector {stride: 8}"
        with open(YAML, "a", encoding="utf-8") as file:
            file.write(f"branches:\n    voice:\n        {branch}\n        {connector}\n")
    code, _, err = start("train.py", "--output_folder", "exp/other")
    assert "no exp/other/targets" in err
    succeed("generate.py", "--output_folder", "exp/other")
    code, _, err = start("train.py", "--output_folder", "exp/other")
    assert code == 2
    (line,) = err.strip().splitlines()[-1:]
    assert line.startswith(
        f"train.py: error: {place}: auralign.models.encoders.WhisperEncoder has no fingerprint"
    )
    assert "at the end of its __init__ write self.fingerprint = hash_value([...])" in line


def test_an_encoder_and_a_connector_written_from_scratch_answer_as_their_recipe(
    tmp_path, make_llm, monkeypatch
):
    torch.manual_seed(0)
    torch.save(torch.nn.Linear(81, 8).state_dict(), tmp_path / "weights.pt")
    folder = make_recipe(tmp_path / "r", llm=make_llm("llama"), encoder=tmp_path / "weights.pt", cache="disk")
    guide = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (folder / "my_parts.py").write_text(f"# my_parts.py{guide.split('# my_parts.py')[1].split('```')[0]}")
    (folder / "my_encoder.py").write_text(ENCODER)
    monkeypatch.chdir(folder)
    edit(YAML, "auralign.models.connectors.StackAndProject", "my_parts.ConvolveOnce")
    edit(YAML, "    keep_remainder: True\n", "")
    edit(YAML, "auralign.models.encoders.load_whisper", "my_encoder.Spectra")
    for script in ("generate.py", "train.py", "decode.py"):
        succeed(script)
    export(load_recipe(YAML), "model")
    monkeypatch.syspath_prepend(str(folder))
    from my_encoder import Spectra
    from my_parts import ConvolveOnce

    with pytest.raises(ValueError, match=r"load\(..., encoder=...\): an object, Spectra\(...\)"):
        auralign.load("model")
    with pytest.raises(ValueError, match=r"load\(..., connector=...\): its class, or a functools.partial"):
        auralign.load("model", encoder=Spectra(tmp_path / "weights.pt"))
    connector = functools.partial(ConvolveOnce, stride=8)
    model = auralign.load("model", encoder=Spectra(tmp_path / "weights.pt"), connector=connector)
    written = Records("exp/sift/hypotheses/test.speech.jsonl", Hypothesis)
    files = [f"data/test-{number}.flac" for number in range(4)]
    assert model.answer(files, "repeat {speech}") == [hypothesis.text for hypothesis in written]
    forget()


def test_code_of_libraries_and_of_auralign_is_no_input():
    assert own_files(torch.nn.Linear) == own_files(StackAndProject) == own_files(dict) == set()
    assert describe(functools.partial(StackAndProject, stride=8)) == {
        "call": "auralign.models.connectors.StackAndProject",
        "args": [],
        "with": {"stride": 8},
    }


def test_code_of_a_package_is_followed_to_what_it_imports(tmp_path, monkeypatch):
    package = tmp_path / "some_parts"
    package.mkdir()
    texts = {
        "__init__": "",
        "connector": "from .base import Base\nfrom . import unused as _\n\nclass Mine(Base):\n"
        "    def forward(self):\n        import json\n        from some_parts.later import late\n",
        "base": "import torch\n\nclass Base(torch.nn.Module):\n    pass\n",
        "unused": "",
        "later": "late = 1\n",
        "never": "",
    }
    for name, text in texts.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    import some_parts.connector

    files = {path.stem for path in own_files(some_parts.connector.Mine)}
    for name in [name for name in sys.modules if name.startswith("some_parts")]:
        monkeypatch.delitem(sys.modules, name)
    assert files == {"__init__", "connector", "base", "unused", "later"}


def test_an_account_without_the_source_stands_for_any():
    now = {"connector": {"call": "mine.C", "with": {}, "source": "1"}}
    assert same({"connector": {"call": "mine.C", "with": {}}}, now)
    assert not same({"connector": {"call": "mine.C", "with": {}, "source": "2"}}, now)
    assert not same(now, {"connector": {"call": "mine.C", "with": {}}})
