"""Models of transformers' classes with random weights answer through the adapter of models that others made."""

import json

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from auralign.adapters import Prompt, open_folder, type_of
from auralign.evaluation.sources import OtherSource, find_source
from auralign.publish.native.architectures import ARCHITECTURES
from auralign.testing import make_speech

AFTER = "\n\nsay it again"  # the instruction of the case, "say it again" on a line of its own


@pytest.mark.parametrize(
    ("name", "kind"), [("audioflamingo3", "llama3"), ("qwen2_audio", "qwen2"), ("voxtral", "llama")]
)
def test_a_class_of_transformers_reads_the_prompt_of_the_run(exported, name, kind):
    run = exported(name, kind, seconds=(1.2,))
    (case,) = run.cases
    assert type_of(run.folder) == name
    model = open_folder(run.folder, max_new_tokens=3)
    inputs = model._read(Prompt("", case.waveform, AFTER))
    audio = model.model.config.audio_token_id
    assert inputs["input_ids"].tolist() == [[audio if token < 0 else token for token in case.ids]]
    with torch.no_grad():
        found = model.model.float()(
            **{key: value.float() if value.is_floating_point() else value for key, value in inputs.items()}
        )
    torch.testing.assert_close(found.logits[0, :, : case.logits.shape[1]], case.logits, atol=1e-4, rtol=0)
    heard, read = model.answer([Prompt("", case.waveform, AFTER), Prompt("say it again: go", None)])
    assert isinstance(heard.text, str) and isinstance(read.text, str)
    assert {heard.finish_reason, read.finish_reason} <= {"length", "stop"}


def test_text_alone_has_no_audio_token(exported):
    run = exported("qwen2_audio", "qwen2", seconds=())
    model = open_folder(run.folder)
    inputs = model._read(Prompt("say go again", None))
    assert model.model.config.audio_token_id not in inputs["input_ids"][0].tolist()
    assert set(inputs) == {"input_ids", "attention_mask"}
    source = find_source(run.folder)
    assert isinstance(source, OtherSource)
    assert source.output == run.folder.parent / f"{run.folder.name}.evaluations"


def test_a_folder_that_is_not_whole_is_not_asked(exported):
    folder = exported("qwen2_audio", "qwen2", seconds=()).folder
    weights = load_file(folder / "model.safetensors")
    weights.pop(lost := next(name for name in weights if "projector" in name))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=f"lacks 1 weights of Qwen2Audio.*{lost.rpartition('.')[2]}"):
        open_folder(folder)
    (folder / "processor_config.json").unlink()
    with pytest.raises(ValueError, match="has no processor"):
        open_folder(folder)


def test_options_of_our_runs_are_refused(exported):
    run = exported("qwen2_audio", "qwen2", seconds=())
    with pytest.raises(ValueError, match="llm.path: .* is a model that others made, which has no such parts"):
        find_source(run.folder, llm="elsewhere")
    assert ARCHITECTURES["qwen2_audio"].class_name == type(find_source(run.folder).model.model).__name__


def test_a_model_without_an_adapter_is_named(make_llm):
    with pytest.raises(
        ValueError, match="no adapter of the model_type 'llama', but of qwen2_audio, .*OtherModel"
    ):
        find_source(make_llm("llama"))


def test_speech_beyond_the_window_is_refused_without_a_processor(exported):
    model = open_folder(exported("voxtral", seconds=()).folder)
    with pytest.raises(ValueError, match="speech of 31.0 s, and without a processor at most 30 s"):
        model.answer([Prompt("", np.zeros(31 * 16_000, dtype=np.float32), AFTER)])


PYTHON = '''
import numpy as np
import torch
from transformers import AutoTokenizer, BatchFeature, LlamaForCausalLM, LlamaConfig, PreTrainedModel, ProcessorMixin


class Config(LlamaConfig):
    model_type = "ultravox"


class Model(LlamaForCausalLM):
    """A LLM that reads the mean loudness of the speech as one more embedding, in place of the placeholder's tokens."""

    config_class = Config

    def generate(self, input_ids, audio_values=None, audio_token_start_idx=None, audio_token_len=None, **options):
        embeddings = self.get_input_embeddings()(input_ids)
        if audio_values is not None:
            start, length = int(audio_token_start_idx[0]), int(audio_token_len[0])
            embeddings[:, start : start + length] = audio_values.mean() * 10
        options.pop("attention_mask", None)
        written = super().generate(inputs_embeds=embeddings, **options)
        return torch.cat([input_ids, written], dim=1)


class Processor(ProcessorMixin):
    """Has the interface of UltravoxProcessor: text with <|audio|>, audio, sampling_rate."""

    attributes = ["tokenizer"]
    tokenizer_class = "AutoTokenizer"

    def __init__(self, tokenizer=None, **options):
        super().__init__(tokenizer)

    @classmethod
    def from_pretrained(cls, folder, **options):
        return cls(AutoTokenizer.from_pretrained(folder))

    def __call__(self, text=None, audio=None, sampling_rate=None, return_tensors=None, **options):
        data = {}
        if audio is not None:
            assert sampling_rate == 16_000 and text.count("<|audio|>") == 1
            start = len(self.tokenizer.encode(text[: text.index("<|audio|>")], add_special_tokens=False))
            data = {"audio_values": audio[None], "audio_token_start_idx": [start], "audio_token_len": [2]}
            text = text.replace("<|audio|>", self.tokenizer.eos_token * 2)
        data.update(self.tokenizer([text], add_special_tokens=False))
        return BatchFeature(data, tensor_type=return_tensors)
'''


@pytest.fixture
def ultravox(tmp_path, make_llm):
    """A folder with its own code and the interface of Ultravox's processor; its real code is not in transformers."""
    folder = tmp_path / "ultravox"
    llm = transformers.AutoModelForCausalLM.from_pretrained(make_llm("llama"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(make_llm("llama"))
    llm.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "code_of_folder.py").write_text(PYTHON)
    config = json.loads((folder / "config.json").read_text())
    classes = {"AutoConfig": "Config", "AutoModel": "Model", "AutoProcessor": "Processor"}
    config |= {
        "model_type": "ultravox",
        "auto_map": {key: f"code_of_folder.{name}" for key, name in classes.items()},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_the_interface_of_ultravox_puts_a_placeholder_into_the_text(ultravox):
    model = open_folder(ultravox, trust_remote_code=True, max_new_tokens=4)
    waveform = make_speech(0.5, seed=3)
    inputs = model._read(Prompt("say ", waveform, " again"))
    start, length = int(inputs["audio_token_start_idx"][0]), int(inputs["audio_token_len"][0])
    ids = inputs["input_ids"][0].tolist()
    assert model.tokenizer.decode(ids[:start]).endswith("say ")
    assert model.tokenizer.decode(ids[start + length :]).startswith(" again")
    replies = model.answer([Prompt("say ", waveform, " again"), Prompt("say go again", None)])
    assert all(isinstance(one.text, str) for one in replies)


def test_an_ultravox_is_not_loaded_without_consent_to_its_code(ultravox):
    with pytest.raises(
        ValueError, match="an Ultravox runs Python code of its folder; allow it: --trust-remote-code"
    ):
        open_folder(ultravox)
