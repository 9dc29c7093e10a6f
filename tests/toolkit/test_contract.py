"""What contract 2 (others, turns) leaves as it was: target keys and prompts of methods that were written before it."""

from dataclasses import replace

import pytest

from auralign.generate.targets import TargetWriter
from auralign.plugins import load_method
from auralign.records import Records, Utterance, write_records
from auralign.render import Renderer
from auralign.testing import make_tokenizer

SPOKEN = Utterance(
    id="u1",
    audio="u1.flac",
    seconds=2.0,
    text="three five nine",
    speaker="s1",
    attributes={"age": 30, "gender": "female", "emotion": "happy"},
    words=(("three", 0.0, 0.5), ("five", 0.5, 1.2), ("nine", 1.2, 2.0)),
)
# Keys and prompt ids of the first request about each of two utterances, computed at commit e23de41, before the contract changed
BEFORE = {
    "sift": (
        ("e69d1ac3d50298b1", "0 288 84 201 261 266 71 317 319 1 201 0 67 286 313 201"),
        ("603a500b67022747", "0 288 84 201 284 267 311 304 323 1 201 0 67 286 313 201"),
    ),
    "wav2prompt": (
        (
            "bd3e41ac27c94937",
            "0 288 84 201 261 266 71 317 319 201 52 71 314 304 323 16 1 201 0 67 286 313 201",
        ),
        (
            "ffc430efce5d8045",
            "0 288 84 201 284 267 311 304 323 201 52 71 314 304 323 16 1 201 0 67 286 313 201",
        ),
    ),
    "transcription": (
        (
            "069fc770e8365a9a",
            "0 288 84 201 86 84 271 85 69 84 75 68 71 262 75 85 28 223 261 266 71 317 319 1 201 0 67 286 313 201",
        ),
        (
            "ea065d05a85bf682",
            "0 288 84 201 86 84 271 85 69 84 75 68 71 262 75 85 28 223 284 267 311 304 323 1 201 0 67 286 313 201",
        ),
    ),
}


@pytest.fixture(scope="module")
def renderer():
    return Renderer(make_tokenizer())


def requests(method, renderer, folder):
    path = folder / "train.jsonl"
    write_records(path, [SPOKEN, replace(SPOKEN, id="u2", text="please sort the above")], kind=Utterance)
    writer = TargetWriter(
        method,
        renderer,
        None,
        llm_name="tiny",
        llm_revision="revision",
        decoding={"max_new_tokens": 20, "temperature": 0.0},
        seed=1,
        max_rejected=0.0,
    )
    return [request for request, _ in writer.requests(Records(path, Utterance))]


@pytest.mark.parametrize("name", BEFORE)
def test_a_method_of_version_1_asks_what_it_asked(name, renderer, tmp_path):
    found = {request.utt_id: request for request in reversed(requests(load_method(name), renderer, tmp_path))}
    assert [(one.key, " ".join(map(str, one.prompt_ids))) for _, one in sorted(found.items())] == [
        *BEFORE[name]
    ]
