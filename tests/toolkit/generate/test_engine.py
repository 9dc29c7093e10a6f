"""What an LLM writes, token by token, and what becomes of it: simulated answers of LLMs that think, and of those that go on."""

import json

import pytest

from auralign.generate.engine import TransformersEngine
from auralign.generate.targets import TargetWriter
from auralign.models.build import make_renderer
from auralign.models.llm import Answer, load_llm
from auralign.plugins import load_method
from auralign.records import Records, Target, Utterance, write_records
from auralign.testing import make_tiny_llm
from recipe import make_utterance

HARMONY = (
    "{% for m in messages %}{% if m.role == 'assistant' %}<|start|>assistant<|channel|>final<|message|>{{ m.content }}<|return|>"
    "{% else %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
FINAL = "<|start|>assistant<|channel|>final<|message|>"


@pytest.fixture(scope="module")
def harmony(tmp_path_factory):
    """A tiny LLM of the form of gpt-oss."""
    from transformers import AutoTokenizer

    folder = make_tiny_llm(tmp_path_factory.mktemp("llm"), chat_template=HARMONY, kind="llama")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    names = ("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>")
    tokenizer.add_special_tokens(
        {"additional_special_tokens": list(names)}, replace_extra_special_tokens=False
    )
    tokenizer.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": len(tokenizer)}))
    (folder / "model.safetensors").unlink()  # of another width
    from transformers import AutoConfig, AutoModelForCausalLM

    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    stops = tokenizer.convert_tokens_to_ids(["<|return|>", "<|call|>"])
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": stops}))
    return load_llm(folder)


def write(llm, written, folder, monkeypatch):
    """The targets made of simulated answers, those rejected, and the summary."""
    ids = [llm.tokenizer(text, add_special_tokens=False)["input_ids"] for text, _ in written]

    def generate(prompts, *, stop_ids, **options):
        assert set(llm.tokenizer.convert_tokens_to_ids(["<|return|>", "<|call|>"])) <= set(stop_ids)
        return [Answer(tuple(ids[place]), written[place][1]) for place in range(len(prompts))]

    monkeypatch.setattr(llm, "generate", generate)
    write_records(
        folder / "train.jsonl",
        [make_utterance(folder, "train", number) for number in range(len(written))],
        kind=Utterance,
    )
    renderer = make_renderer(llm, "default", {})
    writer = TargetWriter(
        load_method("sift"),
        renderer,
        TransformersEngine(llm, renderer, batch_size=len(written), scheduler="static"),
        llm_name=llm.name,
        llm_revision=llm.revision,
        decoding={"max_new_tokens": 6, "temperature": 0.0},
        seed=1,
        max_rejected=0.9,
    )
    summary = writer.write(Records(folder / "train.jsonl", Utterance), folder / "targets.jsonl")
    rejected = [json.loads(line) for line in (folder / "targets.rejected.jsonl").read_text().splitlines()]
    return list(Records(folder / "targets.jsonl", Target)), rejected, summary


def test_the_target_is_the_last_channel_alone(harmony, tmp_path, monkeypatch):
    thought = "<|channel|>analysis<|message|>three or nine<|end|>" + FINAL
    written = [
        (thought + "i heard five", "stop"),
        ("<|channel|>final<|message|>i said nine", "stop"),
        (thought + "i heard", "length"),
    ]
    targets, rejected, summary = write(harmony, written, tmp_path, monkeypatch)
    assert {target.response for target in targets} == {"i heard five", "i said nine", "i heard"}
    assert not rejected
    assert "2 stripped of reasoning" in summary


def test_a_call_of_a_tool_and_reasoning_without_end_are_rejected(harmony, tmp_path, monkeypatch):
    written = [
        ("<|channel|>analysis<|message|>three or", "length"),
        ("<|channel|>commentary<|message|>{}", "stop"),
        ("<|channel|>final<|message|>nine", "stop"),
    ]
    targets, rejected, _ = write(harmony, written, tmp_path, monkeypatch)
    assert [target.response for target in targets] == ["nine"]
    assert {entry["reason"] for entry in rejected} == {"reasoning without end", "special token <|channel|>"}
