"""LoRA: trained beside frozen weights, taken off again, on all positions or on speech alone."""

import pytest
import torch

from auralign.models.llm import Decoding, load_llm

PROMPTS = ["repeat three", "please sort the above words again three five nine", "nine"]


@pytest.fixture
def adapted(llm_folder):
    """An LLM whose adapters were moved away from zero."""
    import peft

    llm = load_llm(llm_folder)
    llm.add_lora(peft.LoraConfig(r=2, lora_dropout=0.5, target_modules="all-linear"))
    torch.manual_seed(0)
    for parameter in llm.lora.parameters():
        parameter.data.normal_()
    return llm


def logits(llm, renderer):
    embeddings = llm.embed(renderer.encode(PROMPTS[1]))
    return llm.head(llm.hidden_states(embeddings, torch.arange(len(embeddings))))


def test_without_its_adapters_the_llm_is_bit_identical(llm, adapted, renderer):
    assert not torch.allclose(logits(adapted, renderer), logits(llm, renderer), atol=1e-2)
    with adapted.original():
        assert torch.equal(logits(adapted, renderer), logits(llm, renderer))
    assert not torch.allclose(logits(adapted, renderer), logits(llm, renderer), atol=1e-2)


def test_only_adapters_want_a_gradient(adapted):
    with adapted.original():
        pass
    wanted = {name for name, parameter in adapted.model.named_parameters() if parameter.requires_grad}
    assert wanted
    assert all("lora_" in name for name in wanted)
    assert len(wanted) == len(list(adapted.lora.parameters()))


def test_lora_needs_none_of_transformers_own_functions_for_adapters(llm_folder, monkeypatch):
    import peft
    from transformers.integrations.peft import PeftAdapterMixin

    def refuse(*_, **__):  # as transformers 5.24.0 does of every peft before 0.22.0
        raise ValueError("The version of PEFT you are using is not compatible")

    for name, function in vars(PeftAdapterMixin).items():
        if callable(function):
            monkeypatch.setattr(PeftAdapterMixin, name, refuse)
    llm = load_llm(llm_folder)
    llm.add_lora(peft.LoraConfig(r=2, target_modules="all-linear"))
    with llm.original():
        pass
    assert llm.lora is not None


@pytest.mark.parametrize("llm_folder", ["llama"], indirect=True)
def test_names_of_adapters_are_those_of_earlier_checkpoints(llm_folder):
    import peft

    llm = load_llm(llm_folder)
    llm.add_lora(peft.LoraConfig(r=2, target_modules=["q_proj"]))
    assert list(llm.lora.state_dict()) == [
        f"model/layers/{layer}/self_attn/q_proj.lora_{part}.default.weight"
        for layer in (0, 1)
        for part in "AB"
    ]


def test_plain_within_plain_is_plain_to_its_end(adapted, llm, renderer):
    with adapted.original():
        with adapted.original():
            pass
        assert torch.equal(logits(adapted, renderer), logits(llm, renderer))
    assert not torch.allclose(logits(adapted, renderer), logits(llm, renderer), atol=1e-2)
    assert all(parameter.requires_grad for parameter in adapted.lora.parameters())


def test_a_second_lora_is_refused(adapted):
    from peft import LoraConfig

    with pytest.raises(ValueError, match="lora: this LLM has adapters already"):
        adapted.add_lora(LoraConfig(target_modules="all-linear"))


def test_dropout_of_adapters_is_on_in_training_alone(adapted, renderer):
    adapted.train()
    assert torch.equal(logits(adapted, renderer), logits(adapted, renderer))
    adapted.lora.train()
    assert not torch.equal(logits(adapted, renderer), logits(adapted, renderer))
    adapted.lora.eval()
    assert torch.equal(logits(adapted, renderer), logits(adapted, renderer))


def test_lora_that_would_train_the_llm_itself_is_refused(llm_folder):
    from peft import LoraConfig

    with pytest.raises(ValueError, match="lora: auralign does not take modules_to_save"):
        load_llm(llm_folder).add_lora(LoraConfig(target_modules="all-linear", modules_to_save=["norm"]))


@pytest.mark.parametrize("options", [{"init_lora_weights": "pissa"}, {"megatron_core": "os"}])
def test_lora_that_changes_the_llm_or_imports_is_refused_before_it_is_added(llm_folder, options):
    from peft import LoraConfig

    llm = load_llm(llm_folder)
    with pytest.raises(ValueError, match="lora: auralign does not take"):
        llm.add_lora(LoraConfig(target_modules="all-linear", **options))
    assert llm.lora is None


@pytest.mark.filterwarnings("ignore:.*lora_bias")
@pytest.mark.parametrize(
    "options", [{"task_type": "CAUSAL_LM", "init_lora_weights": "gaussian"}, {"lora_bias": True}]
)
def test_usual_options_of_lora_are_taken(llm_folder, llm, renderer, options):
    from peft import LoraConfig

    ours = load_llm(llm_folder)
    ours.add_lora(LoraConfig(target_modules="all-linear", **options))
    assert not any(module.training for module in ours.modules())
    with ours.original():
        assert torch.equal(logits(ours, renderer), logits(llm, renderer))


def heard(num_positions, *places):
    """(1, N): which positions are speech."""
    mask = torch.zeros(1, num_positions, dtype=torch.bool)
    mask[0, list(places)] = True
    return mask


@pytest.fixture
def scoped(llm_folder):
    """An LLM with LoRA on the positions of speech, at random."""
    import peft

    llm = load_llm(llm_folder)
    llm.add_lora(peft.LoraConfig(r=2, target_modules="all-linear"), scope="speech")
    torch.manual_seed(1)
    for parameter in llm.lora.parameters():
        torch.nn.init.normal_(parameter.data, std=0.3)
    return llm


def test_scoped_lora_without_speech_equals_the_base_exactly(llm, scoped):
    embeddings, positions = llm.embed(range(9)), torch.arange(9)
    with scoped.adapting(heard(9)):
        assert torch.equal(
            scoped.hidden_states(embeddings, positions), llm.hidden_states(embeddings, positions)
        )


def test_scoped_lora_with_speech_everywhere_equals_lora(llm_folder, scoped):
    import peft

    usual = load_llm(llm_folder)
    usual.add_lora(peft.LoraConfig(r=2, target_modules="all-linear"))
    usual.lora.load_state_dict(scoped.lora.state_dict())
    embeddings, positions = usual.embed(range(9)), torch.arange(9)
    with scoped.adapting(heard(9, *range(9))):
        assert torch.equal(
            scoped.hidden_states(embeddings, positions), usual.hidden_states(embeddings, positions)
        )


def test_scoped_lora_leaves_what_stands_before_the_speech(llm, scoped):
    embeddings, positions = llm.embed(range(9)), torch.arange(9)
    with scoped.adapting(heard(9, 4, 5)):
        ours = scoped.hidden_states(embeddings, positions)
    plain = llm.hidden_states(embeddings, positions)
    assert torch.equal(ours[:4], plain[:4])
    assert not torch.allclose(ours[4:], plain[4:], atol=1e-3)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_scoped_lora_answers_alone_what_it_does_in_a_batch(scoped, renderer, num_beams):
    prompts = [scoped.embed(range(number)) for number in (4, 9, 6)]
    masks = [heard(len(prompt), 1, 2)[0] for prompt in prompts]
    options = {"decoding": Decoding(8, num_beams=num_beams), "stop_ids": renderer.stop_ids}
    together = scoped.generate(prompts, is_speech=masks, **options)
    alone = [scoped.generate([p], is_speech=[m], **options)[0] for p, m in zip(prompts, masks, strict=True)]
    assert together == alone


def test_scoped_lora_answers_as_forward_passes_say(scoped, renderer):
    prompt, mask = scoped.embed(range(6)), heard(6, 2, 3)[0]
    (answer,) = scoped.generate([prompt], is_speech=[mask], decoding=Decoding(5), stop_ids=renderer.stop_ids)
    written = []
    for token in answer.ids:
        embeddings = torch.cat([prompt, scoped.embed(written)]) if written else prompt
        with scoped.adapting(heard(len(embeddings), 2, 3)):
            states = scoped.hidden_states(embeddings, torch.arange(len(embeddings)))
        assert scoped.head(states[-1:]).argmax().item() == token
        written.append(token)
    assert written


def test_scoped_lora_on_embeddings_or_dora_is_refused(llm_folder):
    import peft

    with pytest.raises(ValueError, match="lora_scope speech: not with use_dora"):
        load_llm(llm_folder).add_lora(
            peft.LoraConfig(target_modules="all-linear", use_dora=True), scope="speech"
        )
