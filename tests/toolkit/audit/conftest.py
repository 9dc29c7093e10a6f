"""An LLM that has its own form for two requests, and the rows of targets about four sentences."""

import json

import pytest

SAID = ["three five nine", "seven two", "the red house", "my dog sleeps"]
SHARPNESS = 20.0
ASKED = {"repeat {speech}": "I heard {}", "{speech}": "okay {}"}


@pytest.fixture(scope="session")
def own_llm(tmp_path_factory):
    """The folder of an LLM that answers "repeat X" by "I heard X", and X alone by "okay X"."""
    from transformers import AutoModelForCausalLM

    from auralign.testing.tiny.answering import make_answering_llm

    folder = tmp_path_factory.mktemp("own_llm")
    pairs = [
        (None if asked == "{speech}" else asked, said, form.format(said))
        for asked, form in ASKED.items()
        for said in SAID
    ]
    make_answering_llm(folder, pairs)
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.lm_head.weight.data *= SHARPNESS  # its logits are 1 and 0, which is no clear preference
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def write_rows(tmp_path):
    """A function that writes rows as JSONL and returns the path."""

    def write(rows, name="targets.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


@pytest.fixture
def own_rows():
    """What the LLM itself says when it is asked to repeat."""
    return [
        {"id": f"u{number}", "instruction": "repeat {speech}", "text": said, "target": f"I heard {said}"}
        for number, said in enumerate(SAID)
    ]


@pytest.fixture
def verbatim_rows(own_rows):
    """The transcript under the same instruction: what this LLM would not say."""
    return [{**row, "target": row["text"]} for row in own_rows]
