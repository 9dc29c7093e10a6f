"""The flow of LLMs that are built by hand, against values by hand."""

import math

import pytest
import torch

from auralign.layout import SPEECH, Response, Speech, Text, View
from auralign.probe.flow import read_flow, stretch

COUNTS = (12, 3)  # positions of the speech and of the instruction


def summed(grade, num_speech, num_asked):
    return num_speech * math.exp(grade) / (num_speech * math.exp(grade) + num_asked)


@pytest.mark.parametrize("grade", [-4.0, -1.0, 0.0, 1.0, 4.0])
@pytest.mark.parametrize("last", [False, True])
def test_shares_are_those_of_the_attention_by_construction(graded, grade, last):
    one = graded([grade])
    flow = read_flow(one.llm, one.pack(*COUNTS, last=last))
    assert (flow.num_speech, flow.num_instruction) == COUNTS
    assert flow.shares() == pytest.approx([summed(grade, *COUNTS)] * 2, rel=1e-4)
    assert flow.shares(per_edge=True) == pytest.approx([1 / (1 + math.exp(-grade))] * 2, rel=1e-4)


def test_the_mean_share_does_not_grow_with_the_positions_of_the_speech(graded):
    one = graded([1.0])
    few, many = (read_flow(one.llm, one.pack(number, 3)) for number in (3, 30))
    assert few.shares(per_edge=True)[0] == pytest.approx(many.shares(per_edge=True)[0], rel=1e-4)
    assert many.shares()[0] - few.shares()[0] > 0.2


def test_each_layer_has_its_own_share(graded):
    one = graded([2.0, -2.0])
    flow = read_flow(one.llm, one.pack(*COUNTS))
    assert flow.shares()[:2] == pytest.approx([summed(2.0, *COUNTS), summed(-2.0, *COUNTS)], rel=1e-2)
    total = (flow.speech.sum(), flow.instruction.sum())
    assert flow.shares()[2] == pytest.approx(total[0] / sum(total))


def test_what_is_read_without_effect_on_the_answer_does_not_count(graded):
    """Attention alone would give the share of the grade; the gradient to the instruction is 0."""
    one = graded([0.0], asked=(0.0, 0.0))
    assert read_flow(one.llm, one.pack(*COUNTS)).shares().tolist() == [1.0, 1.0]


def test_saliency_is_attention_times_gradient_by_hand(graded):
    """Without a final norm's curvature to account for: a finite difference of the loss along the weight of one edge."""
    one = graded([0.5])
    pack = one.pack(2, 1)
    flow = read_flow(one.llm, pack)
    value = one.llm.decoder.layers[0].self_attn.v_proj
    attention = math.exp(0.5) / (2 * math.exp(0.5) + 1)  # of one position of the speech

    def loss(step):
        """Raises the value that speech gives, which is raising the weight of its edges, as values are 1."""
        with torch.no_grad():
            value.weight[0, 1] = 1 + step
            hidden = one.llm.hidden_states(pack.embeddings, pack.positions)
            target = pack.tagged["target"]
            logs = one.llm.head(hidden[target - 1]).double().log_softmax(-1)
            value.weight[0, 1] = 1
            return -logs.gather(1, pack.ids[target][:, None]).flatten()

    slopes = (loss(0.5) - loss(-0.5)).abs()  # of each token of the answer: 2 edges of weight `attention`
    assert flow.speech[0] == pytest.approx(float(slopes.sum()), rel=1e-3)
    assert flow.speech[0] / 2 / attention == pytest.approx(
        flow.instruction[0] / (1 - 2 * attention), rel=1e-4
    )


def test_models_that_ignore_the_instruction_are_told_from_those_that_obey(graded):
    """The answer is what the speech says if most of the attention is at the speech, and what is asked otherwise."""
    shares, copies = [], []
    for grade in (-5.0, -3.0, -2.0, 0.0, 2.0, 4.0):
        one = graded([grade], spoken=(0.0, 1.0), size=2.0)
        copies.append(one.answers(*COUNTS) == one.copied)
        answer = " three" if copies[-1] else " nine"
        shares.append(read_flow(one.llm, one.pack(*COUNTS, answer=answer)).shares()[0])
    assert copies == [False, False, False, True, True, True]  # 12 exp(-2) < 3 < 12 exp(0)
    assert shares == sorted(shares)
    assert [share > 0.5 for share in shares] == copies


def test_an_answer_that_is_certain_has_no_share(graded):
    one = graded([0.0], spoken=(0.0, 0.0), asked=(0.0, 0.0))
    assert all(math.isnan(share) for share in read_flow(one.llm, one.pack(*COUNTS)).shares())


def test_text_is_stretched_in_its_place(graded):
    one = graded([0.0])
    view = one.renderer.render(View((Text("sort"), Text(" nine three", tag=SPEECH), Response("nine"))))
    (text,) = (piece.ids for piece in view.pieces if piece.tag == SPEECH)
    stretched = stretch(view, 2 * len(text) + 1)
    (found,) = (piece.ids for piece in stretched.pieces if piece.tag == SPEECH)
    assert len(found) == 2 * len(text) + 1
    assert list(dict.fromkeys(found)) == list(dict.fromkeys(text))
    assert stretched.num_ids == view.num_ids + len(text) + 1
    assert stretch(view, 1) == view


@pytest.mark.parametrize(
    "segments",
    [
        (Text("sort"), Response("nine")),
        (Speech("three"), Response("nine")),
        (Text("sort"), Speech("three")),
    ],
)
def test_a_sequence_without_speech_instruction_or_answer_is_refused(graded, segments):
    one = graded([0.0])
    view = one.renderer.render(View(segments))
    pack = one.model.pack([view], [[torch.eye(8)[:1]] * len(view.speech)])
    with pytest.raises(ValueError, match="no position under the tag '(speech|instruction|target)'"):
        read_flow(one.llm, pack)


def test_an_llm_whose_attention_returns_no_weights_is_refused(graded):
    one = graded([0.0], attention="sdpa")
    with pytest.raises(ValueError, match="graded computes attention by 'sdpa'.*attention: eager"):
        read_flow(one.llm, one.pack(*COUNTS))


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "mistral", "gemma2", "phi3"])
def test_the_families_of_llms_return_their_weights(make_llm, kind):
    from auralign.models.llm import load_llm
    from auralign.models.speech_llm import SpeechLLM
    from auralign.render import Renderer

    llm = load_llm(make_llm(kind), attention="eager")
    model = SpeechLLM(torch.nn.Identity(), torch.nn.Identity(), llm)
    view = Renderer(llm.tokenizer).render(View((Text("sort"), Speech("x"), Response("nine"))))
    flow = read_flow(llm, model.pack([view], [[torch.randn(5, llm.width)]]))
    shares = flow.shares()
    assert len(shares) == 3 and ((shares > 0) & (shares < 1)).all()


def test_an_llm_with_layers_of_another_kind_is_refused(make_llm):
    from auralign.models.llm import load_llm
    from auralign.models.speech_llm import SpeechLLM
    from auralign.render import Renderer

    llm = load_llm(make_llm("lfm2"), attention="eager")
    model = SpeechLLM(torch.nn.Identity(), torch.nn.Identity(), llm)
    view = Renderer(llm.tokenizer).render(View((Text("sort"), Speech("x"), Response("nine"))))
    with pytest.raises(ValueError, match="attention weights of . of its 2 layers"):
        read_flow(llm, model.pack([view], [[torch.randn(5, llm.width)]]))
