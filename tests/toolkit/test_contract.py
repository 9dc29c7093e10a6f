"""Contract 2: others, turns and documents; and that methods of version 1 ask what they asked."""

from copy import deepcopy
from dataclasses import replace
from random import Random

import pytest
import torch

from auralign.data.contamination import exclude_overlap, overlap_path
from auralign.data.frames import live_frames
from auralign.data.manifest import write_manifest
from auralign.data.rejected import rejected_path
from auralign.generate.targets import TargetWriter
from auralign.layout import ANSWER, ASSISTANT, NONE, USER
from auralign.method import (
    AlignmentMethod,
    Choice,
    Layout,
    MethodFailedError,
    Needs,
    Response,
    Speech,
    Text,
    Turn,
    View,
    draw,
    lay_out,
)
from auralign.models.build import build_model
from auralign.plugins import load_method
from auralign.recipe import load_recipe
from auralign.records import RecordError, Records, Utterance, write_records
from auralign.render import Renderer
from auralign.testing import make_tokenizer
from auralign.testing.tiny.llm import CHATML
from auralign.train.examples import Examples
from auralign.train.step import assemble, compute_terms
from recipe import make_recipe, make_utterance, write_targets

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


DOCUMENT = Utterance(
    "d1",
    "",
    0.0,
    "he said three five nine twice, and left",
    labels={"spans": {"u1": [8, 23]}},
    others=("u1",),
)


class Free(AlignmentMethod):
    """A method whose layout is the one that it is given."""

    name = "free"

    def __init__(self, needs, *segments):
        self.given, self.segments = needs, segments

    @property
    def needs(self):
        return self.given

    def choices(self, utterance, rng):
        yield Choice()

    def layout(self, utterance, choice, response):
        return Layout(View(self.segments))


def records(folder, *utterances):
    path = folder / "train.jsonl"
    write_records(path, utterances, kind=Utterance)
    return Records(path, Utterance)


def test_an_utterance_gives_the_others_that_it_names(tmp_path):
    manifest = records(tmp_path, SPOKEN, DOCUMENT, replace(DOCUMENT, id="d2", others=("gone",)))
    found = manifest["d1"]
    assert found == DOCUMENT and found.other("u1") == SPOKEN
    assert deepcopy(replace(found, text="x")).other("u1") == SPOKEN  # also of a changed copy
    with pytest.raises(RecordError, match="'u2' is not among the others of 'd1', which are: 'u1'"):
        found.other("u2")
    with pytest.raises(RecordError, match="'d2' names 'gone' among its others: .* no id 'gone'"):
        manifest["d2"].other("gone")
    with pytest.raises(RecordError, match="was not read from a manifest"):
        DOCUMENT.other("u1")


@pytest.mark.parametrize(
    ("needs", "segments", "message"),
    [
        (Needs(others=True), (Speech("x", of="u2"),), "'u2' is not among the utterance's others, which are: 'u1'"),
        (Needs(others=True), (Speech("x"),), "a document has no audio of its own; write Speech.*'u1'"),
        (Needs(others=True), (Turn((Speech("x", of="u1"),)),), "a student view of turns; write turns=True"),
        (Needs(turns=True), (Turn((Speech("x", of="u1"),)),), "of another utterance; write others=True"),
    ],
)  # fmt: skip
def test_a_layout_that_hears_what_it_cannot_is_refused(needs, segments, message):
    with pytest.raises(MethodFailedError, match=f"'free': layout for d1 gave .*{message}"):
        lay_out(Free(needs, *segments), DOCUMENT, Choice(), Response(""))


def test_a_document_is_shown_to_methods_that_need_others_alone():
    assert draw(load_method("sift"), DOCUMENT, Random(1)) == []
    assert len(draw(load_method("interleave"), DOCUMENT, Random(1))) == 1


def test_a_manifest_keeps_documents_of_which_every_other_is_there(tmp_path):
    heard = make_utterance(tmp_path / "a", "train", 1)
    sound = replace(DOCUMENT, others=(heard.id,))
    wrong = {
        "lost": replace(sound, others=("gone",)),
        "second": replace(sound, others=("lost",)),
        "itself": replace(sound, others=("itself",)),
        "alone": replace(sound, others=()),
        "twice": replace(sound, others=(heard.id, heard.id)),
        "timed": replace(sound, seconds=1.0),
    }
    rows = [sound, *(replace(one, id=name) for name, one in wrong.items()), heard]
    path = tmp_path / "train.jsonl"
    write_manifest(path, rows, audio_folder=tmp_path / "a", limit=0.9)
    assert [(one.id, one.audio) for one in Records(path, Utterance)] == [
        (heard.id, "a/train-1.flac"),
        ("d1", ""),
    ]
    listed = rejected_path(path).read_text()
    assert listed.count("names an utterance that is not in the manifest") == 2
    assert all(f'"{name}"' in listed for name in wrong)


def test_a_document_that_voices_a_test_sentence_is_left_out(tmp_path):
    test = tmp_path / "test.jsonl"
    write_records(test, [replace(SPOKEN, id="t1", text="Three, five: nine!")], kind=Utterance)
    free = replace(SPOKEN, id="u2", text="sort")
    train = records(tmp_path, SPOKEN, free, DOCUMENT, replace(DOCUMENT, id="d2", others=("u2",)))
    exclude_overlap(train, [Records(test, Utterance)])
    assert [one.id for one in Records(train.path, Utterance)] == ["u2", "d2"]
    assert "t1, by its other u1" in overlap_path(train.path).read_text()


def test_turns_that_no_view_can_have_are_refused():
    said, answer = (Text("a"),), Turn((Text("b", ANSWER),), ASSISTANT)
    for turns, message in (
        ((answer,), "begin with 'user' and alternate"),
        ((Turn(said), Turn(said)), "begin with 'user' and alternate"),
        ((Turn(said, NONE), answer), "is the only turn of its view"),
        ((Turn(said), Text("x")), "item 1 of a view of turns is Text"),
        ((Turn(said), replace(answer, finished=False), Turn(said)), "turn 1 of 3 is not finished"),
        ((Turn(said, finished=False),), "the user's last turn is not finished"),
        ((Turn(said), Turn((Response("x"),), ASSISTANT), Turn(said)), "one Response, as its last turn"),
    ):
        with pytest.raises(ValueError, match=message):
            View(turns)
    with pytest.raises(ValueError, match="holds a Response among other things"):
        Turn((Text("a"), Response("x")), ASSISTANT)
    with pytest.raises(ValueError, match="the role of a turn is 'system'"):
        Turn(said, "system")


def test_a_conversation_reads_as_the_template_writes_it_with_its_answer_last(renderer):
    turns = [
        Turn((Text("sort "), Speech("three"))),
        Turn((Text("three", ANSWER),), ASSISTANT),
        Turn((Text("more"),)),
    ]
    rendered = renderer.render(View((*turns, Turn((Response("five"),), ASSISTANT))).read())
    said = [("user", "sort three"), ("assistant", "three"), ("user", "more"), ("assistant", "five")]
    messages = [{"role": role, "content": text} for role, text in said]
    text = renderer.tokenizer.apply_chat_template(messages, tokenize=False)
    assert renderer.tokenizer.decode(rendered.ids) == text.removesuffix("\n")  # the target ends with its turn
    assert rendered.before_target == renderer.render(View(tuple(turns)).read())
    assert rendered.pieces[-1].num_end == 1
    ended = renderer.render(View((turns[0], replace(turns[1], finished=False)))).pieces
    assert ended == renderer.render(View(tuple(turns[:2]))).pieces[:-1]


def test_one_turn_and_its_answer_are_the_view_that_they_always_were(renderer):
    said = (Text("repeat: "), Speech("three"))
    turns = View((Turn(said, USER), Turn((Response("three"),), ASSISTANT)))
    assert renderer.render(turns) == renderer.render(View((*said, Response("three"))))


LOOP = "{%- for message in messages %}"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (CHATML.replace(LOOP, "{%- for message in messages[-1:] %}"), r"prints turn 1 of 3 \(user\) 0 times"),
        (CHATML.replace(LOOP, LOOP + "{{ messages[1].content if messages[1] and loop.last and messages[2] }}"),
         r"prints turn 2 of 3 \(assistant\) 2 times"),
        (CHATML.replace(LOOP, "{%- for message in messages[::-1] %}"), r"prints turn 2 of 3 \(assistant\) before"),
        (CHATML.replace(LOOP, "{{ raise_exception('one turn') if messages | length > 2 }}" + LOOP),
         "refuses a conversation of user, assistant, user: one turn"),
    ],
)  # fmt: skip
def test_a_template_that_changes_the_turns_is_refused(template, message):
    turns = [Turn((Text("a"),)), Turn((Text("b"),), ASSISTANT), Turn((Text("c"),))]
    with pytest.raises(ValueError, match=message):
        Renderer(make_tokenizer(template)).render(View(tuple(turns)))


@pytest.mark.parametrize(
    ("kind", "begin", "end"),
    [
        ("llama", "<|endoftext|>", "<|endoftext|>"),  # no BOS, and its eos_token ends turns
        ("llama3", "<|begin_of_text|>", "<|end_of_text|>"),
        ("mistral", "<s>", "</s>"),
        ("gemma2", "<bos>", "<eos>"),
    ],
)
def test_a_document_begins_and_ends_as_texts_of_the_llm_do(kind, begin, end):
    tokenizer = make_tokenizer(kind=kind)
    whole = Renderer(tokenizer).render(
        View((Turn((Text("a b<|im_end|>"), Speech("c"), Text(" d")), NONE),)).read()
    )
    assert tokenizer.decode(whole.ids) == f"{begin}a b<|im_end|>c d{end}"
    assert tokenizer.convert_ids_to_tokens([whole.ids[0], whole.ids[-1]]) == [begin, end]
    cut = Renderer(tokenizer).render(View((Turn((Text("a"),), NONE, finished=False),)))
    assert [piece.tag for piece in cut.pieces] == ["frame", "instruction"]


def test_turns_count_in_the_frame_hash_of_methods_that_need_them_alone():
    tokenizer = make_tokenizer()
    plain, turns = Renderer(tokenizer), Renderer(tokenizer, turns=True)
    assert plain.frame_hash != turns.frame_hash
    assert "document" not in plain.describe() and turns.describe()["document"] == ["<|endoftext|>"] * 2


@pytest.fixture(scope="module")
def trained(tmp_path_factory, make_llm, whisper_folder):
    """A recipe of `interleave`: its examples over twelve clips and three documents, model and method."""
    folder = make_recipe(
        tmp_path_factory.mktemp("documents") / "r",
        llm=make_llm("llama"),
        encoder=whisper_folder,
        method="interleave",
    )
    clips = list(Records(folder / "data" / "train.jsonl", Utterance))
    documents = []
    for number in range(3):
        first, second = clips[number], clips[number + 5]
        text, ends = f"{first.text} then {second.text} at last", [len(first.text), len(first.text) + 6]
        spans = {first.id: [0, ends[0]], second.id: [ends[1], ends[1] + len(second.text)]}
        documents.append(
            Utterance(f"d{number}", "", 0.0, text, labels={"spans": spans}, others=(first.id, second.id))
        )
    manifest = records(folder / "data", *clips, *documents)
    recipe = load_recipe(folder / "hparams" / "interleave.yaml")
    model, renderer = build_model(recipe)
    options = {"method": recipe.method, "model": model, "renderer": renderer}
    targets = write_targets(manifest, folder / "targets.jsonl", **options)
    return Examples(targets, manifest, frames=live_frames(model, manifest), **options), model, recipe.method


def test_each_span_of_a_document_is_embedded_as_its_clip_alone(trained):
    examples, model, method = trained
    assert len(examples) == 3
    (pack,) = examples.packs([0, 1, 2], tokens_per_pack=10_000)
    assert [examples.manifest[row].id for row in pack.rows] == ["d0", "d1", "d2"]
    found = assemble(model, pack, method.needs).student
    alone = []
    for number in range(3):
        for row in (number, number + 5):
            frames = live_frames(model, examples.manifest).get([row])
            (speech,), _ = model.listen([examples.renderer.render(View((Speech("x"),)))], frames)
            alone += speech
    torch.testing.assert_close(found.embeddings[found.tagged["speech"]], torch.cat(alone), rtol=0, atol=1e-5)


def test_a_documents_loss_is_its_own_in_any_pack(trained):
    """Its first token is no label: the position before it in the pack is the end of another document."""
    examples, model, method = trained
    sums = []
    for chosen in ([0, 1, 2], [0], [1, 2]):
        (whole,) = examples.packs(chosen, tokens_per_pack=10_000)
        term = compute_terms(method, model, whole)["text"]
        sums.append((float(term.sum.detach()), term.count))
    assert sums[0][1] == sums[1][1] + sums[2][1]
    assert sums[0][0] == pytest.approx(sums[1][0] + sums[2][0], rel=1e-4)
    output = model(assemble(model, whole, method.needs).student)
    with pytest.raises(ValueError, match="a sequence begins with the tag 'frame': nothing predicts"):
        output.cross_entropy("frame")


def test_a_document_hears_the_spans_of_another_one_in_their_place(trained):
    examples, model, method = trained
    (own,) = examples.packs([0], tokens_per_pack=10_000)
    (swapped,) = examples.packs([0], tokens_per_pack=10_000, heard=[1])
    (other,) = examples.packs([1], tokens_per_pack=10_000)
    for name in own.frames:
        assert torch.equal(swapped.frames[name][0], other.frames[name][0])
    assert swapped.views == own.views and swapped.rows == own.rows


def test_a_document_that_would_be_heard_is_refused(tmp_path):
    """It has no audio: `Speech` can only be of one of its own others."""
    manifest = records(tmp_path, SPOKEN, DOCUMENT, replace(DOCUMENT, id="d2", others=("d1",)))
    with pytest.raises(
        MethodFailedError, match="'d1' is a document, which has no audio; hear one of its own others"
    ):
        lay_out(Free(Needs(others=True), Speech("x", of="d1")), manifest["d2"], Choice(), Response(""))
