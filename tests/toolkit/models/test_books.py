"""Books: tokens beside the vocabulary, which change no id of the LLM, learn, are saved, and come from no text."""

import pytest
import torch

from auralign.layout import Code, Layout, Response, Speech, Text, View
from auralign.models.books import Book, Tags
from auralign.models.connectors import StackAndProject
from auralign.models.llm import load_llm
from auralign.models.speech_llm import SpeechLLM
from auralign.render import Renderer

GOOD, BAD = Code("quality", ("good",)), Code("quality", ("bad",))
PLAIN = View((Text("say "), Speech("five"), Text(" again"), Response("i heard five")))
TAGGED = View(
    (
        GOOD,
        Text("say "),
        BAD,
        Speech("five"),
        Text(" again"),
        Code("quality", (0, 1)),
        Response("i heard five"),
    )
)


class Flat(Book):
    """A book with a head: each of its four tokens is as likely as its id is large."""

    def __init__(self, width):
        super().__init__()
        self.size, self.width = 4, width

    def embed(self, ids):
        return torch.zeros(len(ids), self.width)

    def nll(self, hidden, ids):
        assert len(hidden) == len(ids)
        return 0.0 * hidden.sum(-1) + ids

    def begin_near(self, embedding):
        pass


@pytest.fixture(scope="module")
def llm(make_llm):
    return load_llm(make_llm("llama"))


@pytest.fixture(scope="module")
def renderer(llm):
    return Renderer(llm.tokenizer)


def make_model(llm, **options):
    torch.manual_seed(0)
    books = {"quality": Tags(llm.width, names=["good", "bad"]), "units": Flat(llm.width)}
    return SpeechLLM(
        torch.nn.Identity(), StackAndProject(6, llm.width, stride=2), llm, books=books, **options
    )


@pytest.fixture(scope="module")
def model(llm):
    return make_model(llm)


def forward(model, renderer, views):
    speech = [torch.full((2, model.llm.width), 0.1)] * len(views)
    return model(model.pack([renderer.render(view) for view in views], speech))


def test_tokens_of_a_book_change_no_id_of_the_llm(model, renderer):
    speech = [torch.zeros(2, model.llm.width)]
    plain, tagged = (model.pack([renderer.render(view)], speech) for view in (PLAIN, TAGGED))
    beside = tagged.ids != -2
    assert (~beside).sum() == 4
    assert tagged.ids[beside].equal(plain.ids)
    assert tagged.embeddings[beside].equal(plain.embeddings)
    assert renderer.render(TAGGED.read()).ids == renderer.render(PLAIN.read()).ids


def test_the_tokens_are_where_the_layout_puts_them_by_name_or_id(model, renderer):
    pack = model.pack([renderer.render(TAGGED)], [torch.zeros(2, model.llm.width)])
    rows = model.books["quality"].embedding.weight[[0, 1, 0, 1]]
    assert pack.embeddings[pack.tagged["quality"]].equal(rows)
    assert model.embed(renderer.render(TAGGED), torch.zeros(2, model.llm.width)).equal(pack.embeddings)
    assert pack.is_speech.sum() == 2  # LoRA of scope speech adapts no tag


def test_sequences_with_tokens_of_a_book_are_packed_as_they_are_alone(model, renderer):
    together = forward(model, renderer, [TAGGED, PLAIN, TAGGED]).cross_entropy("target").sum
    alone = sum(
        forward(model, renderer, [view]).cross_entropy("target").sum for view in (TAGGED, PLAIN, TAGGED)
    )
    assert together.item() == pytest.approx(alone.item(), rel=1e-5)


def test_a_new_embedding_is_near_the_mean_of_the_llms(llm):
    tags = Tags(llm.width, names=[f"t{number}" for number in range(20)])
    tags.begin_near(llm.mean_embedding)
    away = tags.embedding.weight - llm.mean_embedding
    assert away.std().item() == pytest.approx(0.01, rel=0.2)
    assert away.abs().max() < 0.06


def test_tags_learn_unless_they_are_frozen(llm, renderer):
    model = make_model(llm)
    forward(model, renderer, [TAGGED]).cross_entropy("target").sum.backward()
    assert model.books["quality"].embedding.weight.grad.abs().sum() > 0
    frozen = make_model(llm, frozen=["quality_book"])
    assert "quality_book" not in frozen.trained_parts
    assert not frozen.books["quality"].embedding.weight.requires_grad


def test_what_the_llm_cannot_write_has_no_loss(model, renderer):
    with pytest.raises(ValueError, match="a book of Tags predicts nothing"):
        forward(model, renderer, [TAGGED]).cross_entropy("quality")


def test_a_book_with_a_head_predicts_its_own_tokens(model, renderer):
    units = View((Speech("five"), Code("units", (1, 3)), Response("five")))
    term = forward(model, renderer, [units, units]).cross_entropy("units")
    assert (term.sum.item(), term.count, term.unit) == (8.0, 4, "units")


@pytest.mark.parametrize(
    "other, said",
    [
        (Code("units", (1,), tag="quality"), "the book 'quality' and of 'units'"),
        (Text("word", "quality"), "the book 'quality' and others"),
    ],
)
def test_a_tag_of_two_kinds_of_tokens_is_an_error_of_the_loss(model, renderer, other, said):
    with pytest.raises(ValueError, match=f"{said}; give them tags of their own"):
        forward(model, renderer, [View((GOOD, other, Speech("x"), Response("y")))]).cross_entropy("quality")


@pytest.mark.parametrize(
    "code, said",
    [
        (Code("quality", ("great",)), "no token 'great'; it has 'good', 'bad': add it to `books`"),
        (Code("quality", (2,)), "no token 2; it has 'good', 'bad'"),
        (Code("units", (4,)), "no token 4; it has the ids 0 to 3"),
        (Code("tone", ("good",)), "uses the book 'tone'; the recipe has quality, units: add it"),
    ],
)
def test_an_unknown_token_is_named_with_those_there_are(model, renderer, code, said):
    with pytest.raises(ValueError, match=said):
        model.pack([renderer.render(View((code,)))], [None])


@pytest.mark.parametrize("names", [[], "good", ["good", ""], ["good", "good"]])
def test_tags_need_names_of_their_own(names):
    with pytest.raises(ValueError, match="names"):
        Tags(4, names=names)


def test_a_text_that_spells_a_token_makes_none(model, renderer):
    view = View((Text("good <|good|> quality=good"), Speech("<|good|>"), Response("good")))
    assert not any(piece.book for piece in renderer.render(view).pieces)
    assert renderer.tokenizer.decode(renderer.render(view.read()).pieces[1].ids).strip() == (
        "good <|good|> quality=good"
    )


def test_the_original_llm_reads_no_token_of_a_book():
    with pytest.raises(ValueError, match="the original LLM has no such token"):
        Layout(PLAIN, TAGGED)
    said = View((Code("quality", ("good",), text="well: "), Speech("five"))).read()
    assert said == View((Text("well: ", "quality"), Text("five", "speech")))


@pytest.mark.parametrize("ids", ["good", (), ["good"], (True,)])
def test_tokens_are_a_tuple_of_ids_or_names(ids):
    with pytest.raises(ValueError, match="give a tuple of ids or names"):
        Code("quality", ids)
