"""LLMs whose attention is built by hand, so that the flow into their answers is known."""

import math

import pytest
import torch

from auralign.layout import INSTRUCTION, SPEECH, TARGET, Response, Speech, Text, View
from auralign.models.connectors import StackAndProject
from auralign.models.llm import LLM
from auralign.models.speech_llm import SpeechLLM
from auralign.render import Renderer
from auralign.testing.tiny.llm import make_tokenizer

ASKED, DONE, COPIED = (
    " sort",
    " nine",
    " three",
)  # the instruction, and the answers that obey it and ignore it
WIDTH = 8
IS_INSTRUCTION, IS_SPEECH, IS_OTHER, TO_DONE, TO_COPIED = range(5)  # dimensions of the hidden states
NEVER = -60.0  # logit of attention


def speech_of(number):
    """Embeddings (number, D) of speech."""
    return torch.eye(WIDTH)[IS_SPEECH].repeat(number, 1)


class Graded:
    """A Llama whose answer reads each position of speech exp(grade) times as much as one of the instruction.

    Arguments
    ---------
    grades : sequence of float
        One for each layer.
    spoken, asked : tuple of (float, float)
        How much a position of the speech, or of the instruction, that is read raises the answers `DONE` and `COPIED`.
    size : float
        Scale of what a layer adds. If it is small, a layer does not change what the next one reads.
    """

    def __init__(self, grades, *, spoken=(1.0, 0.0), asked=(1.0, 0.0), size=1e-3, attention="eager"):
        from transformers import LlamaConfig, LlamaForCausalLM

        tokenizer = make_tokenizer()
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=4,
            num_hidden_layers=len(grades),
            num_attention_heads=1,
            num_key_value_heads=1,
            head_dim=4,
            rope_parameters={"rope_type": "default", "rope_theta": 1e20},  # dimension 1 is not rotated
            attention_bias=True,
            max_position_embeddings=256,
            tie_word_embeddings=False,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            attn_implementation=attention,
        )
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        self.renderer = Renderer(tokenizer)
        ids = {text: self.renderer.encode(text) for text in (ASKED, DONE, COPIED)}
        assert all(len(found) == 1 for found in ids.values())
        self.done, self.copied = ids[DONE][0], ids[COPIED][0]
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
            model.model.embed_tokens.weight[:, IS_OTHER] = 1
            model.model.embed_tokens.weight[ids[ASKED]] = torch.eye(WIDTH)[IS_INSTRUCTION]
            model.lm_head.weight[:, IS_OTHER] = torch.randn(len(tokenizer)) / 10
            model.lm_head.weight[self.done, TO_DONE] = model.lm_head.weight[self.copied, TO_COPIED] = 10
            model.model.norm.weight.fill_(1)
            for layer, grade in zip(model.model.layers, grades, strict=True):
                layer.input_layernorm.weight.fill_(1 / math.sqrt(WIDTH))  # keeps one-hot embeddings
                layer.post_attention_layernorm.weight.fill_(1)
                block = layer.self_attn
                block.q_proj.bias[1] = 2  # times 1 / sqrt(head_dim)
                block.k_proj.weight[1, IS_SPEECH] = grade
                block.k_proj.weight[1, IS_OTHER] = NEVER
                block.v_proj.weight[[0, 2], IS_SPEECH] = torch.tensor(spoken)
                block.v_proj.weight[[0, 2], IS_INSTRUCTION] = torch.tensor(asked)
                block.o_proj.weight[TO_DONE, 0] = block.o_proj.weight[TO_COPIED, 2] = size
        self.llm = LLM(model, tokenizer, name="graded", revision="1")
        self.model = SpeechLLM(torch.nn.Identity(), StackAndProject(WIDTH, WIDTH, stride=1), self.llm)

    def pack(self, num_speech, num_asked, *, last=False, answer=DONE):
        """The sequence of `num_asked` tokens of instruction, `num_speech` positions of speech, and an answer."""
        asked, speech = [Text(ASKED) for _ in range(num_asked)], Speech(COPIED)
        segments = [speech, *asked] if last else [*asked, speech]
        view = self.renderer.render(View((*segments, Response(answer))))
        return self.model.pack([view], [[speech_of(num_speech)]])

    def answers(self, num_speech, num_asked):
        """The token that it answers."""
        pack = self.pack(num_speech, num_asked)
        with torch.no_grad():
            hidden = self.llm.hidden_states(pack.embeddings, pack.positions)
        return int(self.llm.head(hidden[pack.tagged[TARGET][0] - 1]).argmax())


@pytest.fixture(scope="session")
def graded():
    return Graded


@pytest.fixture(scope="session")
def tags():
    return SPEECH, INSTRUCTION, TARGET
