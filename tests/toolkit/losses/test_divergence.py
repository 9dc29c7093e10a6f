"""The divergence against values computed by hand; chunks change nothing; equal distributions cost exactly nothing."""

import math

import pytest
import torch

from auralign.losses import TopK, bucketed_divergence, divergence


def identity(hidden):
    return hidden


def test_two_words_by_hand():
    # teacher (1/2, 1/2), student (3/4, 1/4): 1/2 log(2/3) + 1/2 log 2
    teacher, student = torch.zeros(1, 2), torch.tensor([[math.log(3.0), 0.0]])
    term = divergence(student, teacher, identity)
    assert term.sum.item() == pytest.approx(0.5 * math.log(2 / 3) + 0.5 * math.log(2), rel=1e-6)
    assert term.count == 1


def test_temperature_divides_both_logits_and_scales_nothing_else():
    teacher, student = torch.tensor([[2.0, 0.0, 1.0]]), torch.tensor([[0.0, 4.0, 1.0]])
    hot = divergence(student, teacher, identity, temperature=2.0)
    assert hot.sum.item() == pytest.approx(
        divergence(student / 2, teacher / 2, identity).sum.item(), rel=1e-6
    )


def test_equal_states_cost_exactly_nothing():
    hidden = torch.randn(7, 5)
    assert divergence(hidden, hidden.clone(), torch.nn.Linear(5, 11), temperature=2.0).sum.item() == 0.0


def test_chunks_change_neither_value_nor_gradient():
    head = torch.nn.Linear(8, 11)
    teacher, results = torch.randn(17, 8), []
    for max_logits in (2**24, 80):
        hidden = torch.randn(17, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
        loss = divergence(hidden, teacher, head, temperature=2.0, max_logits=max_logits).sum
        loss.backward()
        results.append((loss.detach(), hidden.grad))
    torch.testing.assert_close(results[0], results[1])


def test_the_teacher_gets_no_gradient():
    hidden, teacher = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    divergence(hidden, teacher, identity).sum.backward()
    assert teacher.grad is None


def test_no_positions_cost_nothing_but_keep_the_graph():
    hidden = torch.randn(0, 8, requires_grad=True)
    term = divergence(hidden, torch.randn(0, 8), torch.nn.Linear(8, 11))
    term.sum.backward()
    assert (term.sum.item(), term.count) == (0.0, 0)


def test_views_with_different_targets_are_refused():
    with pytest.raises(ValueError, match="predicts 2 tokens, the teacher 3"):
        divergence(torch.zeros(2, 4), torch.zeros(3, 4), identity)


def test_a_bucket_by_hand():
    # teacher (1/2, 1/4, 1/4), student (1/4, 1/4, 1/2), one kept: 1/2 log 2 + 1/2 log((1/2) / (3/4))
    teacher = TopK.of(torch.tensor([[2.0, 1.0, 1.0]]).log(), 1, 1.0)
    term = bucketed_divergence(torch.tensor([[1.0, 1.0, 2.0]]).log(), teacher, identity)
    assert term.sum.item() == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3), rel=1e-5)
    assert term.count == 1


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("k", [1, 3, 10])
def test_bucketed_never_exceeds_full(k, temperature):
    for seed in range(20):
        teacher, student = 3 * torch.randn(2, 9, 11, generator=torch.Generator().manual_seed(seed))
        full = divergence(student, teacher, identity, temperature=temperature).sum
        kept = bucketed_divergence(student, TopK.of(teacher, k, temperature), identity).sum
        assert 0 <= kept <= full + 1e-5


def test_all_logits_kept_are_the_full_divergence_in_value_and_gradient():
    teacher, student = torch.randn(2, 9, 11)
    found = []
    for loss in (
        lambda hidden: divergence(hidden, teacher, identity, temperature=2.0),
        lambda hidden: bucketed_divergence(hidden, TopK.of(teacher, 11, 2.0), identity),
    ):
        hidden = student.clone().requires_grad_()
        term = loss(hidden)
        term.sum.backward()
        found.append((term.sum.detach(), hidden.grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-6)


def test_a_student_that_equals_what_was_kept_costs_nothing():
    logits = 5 * torch.randn(7, 11)
    assert abs(bucketed_divergence(logits, TopK.of(logits, 3, 2.0), identity).sum.item()) < 1e-5


def test_a_teacher_that_is_sure_costs_a_finite_number():
    sure = torch.tensor([[200.0, 0.0, 0.0]])
    hidden = torch.zeros(1, 3, requires_grad=True)
    term = bucketed_divergence(hidden, TopK.of(sure, 2, 1.0), identity)
    term.sum.backward()
    assert term.sum.item() == pytest.approx(math.log(3), rel=1e-4)
    assert torch.isfinite(hidden.grad).all()


def test_chunks_of_a_kept_teacher_change_neither_value_nor_gradient():
    head, results = torch.nn.Linear(8, 11), []
    teacher = TopK.of(torch.randn(17, 11), 4, 2.0)
    for max_logits in (2**24, 40):
        hidden = torch.randn(17, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
        loss = bucketed_divergence(hidden, teacher, head, max_logits=max_logits).sum
        loss.backward()
        results.append((loss.detach(), hidden.grad))
    torch.testing.assert_close(results[0], results[1])


def test_a_teacher_kept_of_other_targets_is_refused():
    with pytest.raises(ValueError, match="predicts 3 tokens, the cached teacher has 2"):
        bucketed_divergence(torch.randn(3, 4), TopK.of(torch.randn(2, 4), 2, 1.0), identity)


@pytest.mark.parametrize("max_logits", [2**24, 80])
def test_a_frozen_head_gives_the_gradient_of_torch(max_logits):
    torch.manual_seed(0)
    head, teacher, found = torch.nn.Linear(8, 11).requires_grad_(False), torch.randn(17, 8), []
    for is_ours in (True, False):
        hidden = torch.randn(17, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
        if is_ours:
            loss = divergence(hidden, teacher, head, temperature=2.0, max_logits=max_logits).sum
        else:
            logs = [(head(states) / 2).log_softmax(-1) for states in (hidden, teacher)]
            loss = torch.nn.functional.kl_div(*logs, reduction="sum", log_target=True)
        (loss / 7).backward()
        found.append((loss.detach(), hidden.grad))
    torch.testing.assert_close(*found)
