"""Lengths that stage 2 counted: what stage 3 finds without them, and believed only as long as nothing changed."""

from dataclasses import replace

import numpy as np
import pytest

import auralign.data.lengths
from auralign.data.lengths import lengths_path, made_of, read_lengths, write_lengths
from auralign.files import write_atomically
from auralign.models.build import build_model
from auralign.plugins import load_method
from auralign.recipe import load_recipe
from auralign.records import Records, Target, Utterance, write_records
from auralign.render import Renderer
from auralign.train.examples import Examples
from recipe import make_recipe, write_targets

METHODS = ("sift", "distillation", "wav2prompt", "sit")


class Made:
    """A recipe's model, and the targets of one of its methods."""

    def __init__(self, folder, name, llm, encoder):
        recipe = make_recipe(folder, llm=llm, encoder=encoder)
        self.hparams = load_recipe(recipe / "hparams" / "sift.yaml")
        self.model, self.renderer = build_model(self.hparams)
        self.method = load_method(name)
        self.manifest = Records(recipe / "data" / "train.jsonl", Utterance)
        self.path = recipe / "targets.jsonl"
        made = {"method": self.method, "model": self.model, "renderer": self.renderer}
        write_targets(self.manifest, self.path, **made, max_rejected=1.0)

    @property
    def targets(self):
        return Records(self.path, Target)

    def examples(self, **changes):
        options = {"method": self.method, "renderer": self.renderer, "model": self.model, **changes}
        return Examples(self.targets, self.manifest, frames=None, max_rejected=1.0, **options)

    def keep(self):
        write_lengths(self.targets, self.manifest, method=self.method, renderer=self.renderer)

    def read(self, **changes):
        options = {"method": self.method, "renderer": self.renderer, **changes}
        return read_lengths(self.targets, self.manifest, **options)


@pytest.fixture
def made(tmp_path, llm_folder, whisper_folder):
    made = Made(tmp_path / "r", "sift", llm_folder, whisper_folder)
    made.keep()
    assert made.read() is not None
    return made


@pytest.mark.parametrize("name", METHODS)
def test_with_lengths_that_were_kept_examples_are_those_that_are_counted(
    tmp_path, make_llm, whisper_folder, name, monkeypatch
):
    made = Made(tmp_path / "r", name, make_llm("llama"), whisper_folder)
    counted = made.examples()
    made.keep()
    monkeypatch.setattr("auralign.train.examples.count_lengths", None)  # is not called
    found = made.examples()
    assert len(found) > 0
    for array in ("numbers", "rows", "lengths", "sizes", "ends"):
        assert np.array_equal(getattr(found, array), getattr(counted, array))
    assert found.rejected.items == counted.rejected.items


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"response": "edited"}, "the response 'edited', and its response_ids are those of"),
        ({"response_ids": ()}, "and its response_ids are those of ''"),
        ({"response_ids": (-1,)}, "the response id -1, and the LLM has tokens from 0 to"),
        ({"response_ids": (10**6,)}, "the response id 1000000"),
    ],
)
def test_a_response_that_was_edited_beside_its_ids_is_refused(made, changes, said):
    first, second, *others = made.targets
    write_records(made.path, [first, replace(second, **changes), *others], kind=Target)
    with pytest.raises(
        ValueError, match=rf"targets.jsonl:3: target {second.key} of {second.utt_id} has .*{said}"
    ):
        made.examples()
    write_records(made.path, [first, replace(second, response="edited", response_ids=None)], kind=Target)
    assert len(made.examples()) == 2


def test_without_lengths_that_were_kept_there_are_none(made):
    lengths_path(made.path).unlink()
    assert made.read() is None
    assert len(made.examples()) > 0


def test_another_chat_frame_is_refused_as_without_them(made):
    drifted = Renderer(made.model.llm.tokenizer, system="You are helpful.")
    assert made.read(renderer=drifted) is None
    with pytest.raises(ValueError, match="was made with prompt frame"):
        made.examples(renderer=drifted)


def test_a_layout_that_changed_under_its_version_is_refused_as_without_them(made, monkeypatch):
    layout = type(made.method).layout
    monkeypatch.setattr(
        type(made.method),
        "layout",
        lambda self, utterance, *more: layout(self, replace(utterance, text=f"{utterance.text} nine"), *more),
    )
    assert made.read() is None
    with pytest.raises(ValueError, match="was made with prompt "):
        made.examples()


def test_another_llm_is_refused_though_lengths_were_kept(made):
    made.model.llm.revision = "another"
    with pytest.raises(ValueError, match="was made with LLM"):
        made.examples()


def test_lengths_of_other_inputs_are_not_believed(made, monkeypatch):
    assert made.read(method=load_method("sift", refusals=None)) is None
    with monkeypatch.context() as patch:
        patch.setattr(auralign.data.lengths, "__version__", "0.0.1")
        assert made.read() is None
    assert made.read() is not None
    for path in (made.manifest.path, made.path):
        whole = path.read_bytes()
        lines = whole.splitlines(keepends=True)
        path.write_bytes(b"".join([*lines[:1], *lines[:1:-1], lines[1]]))
        assert made.read() is None
        path.write_bytes(whole)
        assert made.read() is not None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"x" * 100])
def test_a_broken_file_is_no_file(made, content):
    with write_atomically(lengths_path(made.path), "wb") as file:
        file.write(content)
    assert made.read() is None
    assert len(made.examples()) > 0


def test_every_flipped_bit_of_a_header_within_the_file_is_survived(made):
    path = lengths_path(made.path)
    data = path.read_bytes()
    for bit in range(8 * 30):  # of the first header of the zip file
        damaged = bytearray(data)
        damaged[data.find(b"PK\1\2") + bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        found = made.read()
        assert found is None or found.made == (made_of(next(iter(made.targets))),)
