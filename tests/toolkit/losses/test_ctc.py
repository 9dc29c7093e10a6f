"""CTC against every path written out, and against values computed by hand."""

import itertools
import math

import pytest
import torch

from auralign.losses import ctc, join


def enumerated(logits, labels, blank=0):
    """Negative log-likelihood of (T, V) as the sum over all paths that collapse to the labels."""
    logs, total = logits.log_softmax(-1), 0.0
    for path in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        if [label for label, _ in itertools.groupby(path) if label != blank] == labels:
            total += math.exp(sum(logs[frame, label].item() for frame, label in enumerate(path)))
    return -math.log(total)


@pytest.mark.parametrize("labels", [[], [2], [1, 2], [1, 1]])
def test_all_paths_of_a_tiny_case_add_up(labels):
    logits = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(0))
    term = ctc(logits, torch.tensor([4]), [torch.tensor(labels)])
    assert term.sum.item() == pytest.approx(enumerated(logits[0], labels), rel=1e-5)
    assert (term.count, term.unit) == (len(labels), "read speech")


def test_the_blank_may_have_any_id():
    logits = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(0))
    loss = ctc(logits, torch.tensor([4]), [torch.tensor([0, 1])], blank=2).sum
    assert loss.item() == pytest.approx(enumerated(logits[0], [0, 1], blank=2), rel=1e-5)


def test_one_label_under_uniform_logits_by_hand():
    # Of the V^T paths, T (T + 1) / 2 are one run of the label among blanks.
    loss = ctc(torch.zeros(1, 5, 4), torch.tensor([5]), [torch.tensor([3])]).sum
    assert loss.item() == pytest.approx(5 * math.log(4) - math.log(15), rel=1e-6)


def test_as_many_labels_as_frames_leave_one_path():
    term = ctc(torch.zeros(1, 3, 4), torch.tensor([3]), [torch.tensor([1, 2, 1])])
    assert term.sum.item() == pytest.approx(3 * math.log(4), rel=1e-6)


def test_an_utterance_costs_in_a_batch_what_it_costs_alone():
    logits = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0))
    lengths, labels = torch.tensor([6, 3]), [torch.tensor([1, 1, 4]), torch.tensor([2])]
    alone = [
        ctc(logits[row : row + 1, : lengths[row]], lengths[row : row + 1], labels[row : row + 1])
        for row in (0, 1)
    ]
    logits[1, 3:] = 1e4
    term = ctc(logits.requires_grad_(), lengths, labels)
    term.sum.backward()
    torch.testing.assert_close(term.sum, alone[0].sum + alone[1].sum)
    assert term.count == 4
    assert not logits.grad[1, 3:].any()


def test_half_precision_is_computed_in_fp32():
    logits = torch.randn(1, 40, 9, generator=torch.Generator().manual_seed(0)).bfloat16()
    arguments = torch.tensor([40]), [torch.tensor([1, 2, 3])]
    torch.testing.assert_close(ctc(logits, *arguments).sum, ctc(logits.float(), *arguments).sum)


def test_labels_that_fit_no_alignment_are_left_out_and_named():
    logits = torch.zeros(3, 3, 4, requires_grad=True)
    labels = [torch.tensor([1, 1, 2]), torch.tensor([3]), torch.tensor([1, 2, 1, 2])]
    term = ctc(logits, torch.tensor([3, 3, 3]), labels)
    alone = ctc(torch.zeros(1, 3, 4), torch.tensor([3]), labels[1:2])
    assert (term.count, term.left_out, alone.left_out) == (1, (0, 2), ())
    torch.testing.assert_close(term.sum, alone.sum)
    term.sum.backward()
    assert logits.grad.abs().sum((1, 2)).gt(0).tolist() == [False, True, False]


def test_if_all_utterances_are_left_out_the_graph_stays():
    logits = torch.zeros(1, 1, 4, requires_grad=True)
    term = ctc(logits, torch.tensor([1]), [torch.tensor([1, 2])])
    term.sum.backward()
    assert (term.sum.item(), term.count, term.unit, term.left_out) == (0.0, 0, "read speech", (0,))


def test_joined_terms_name_each_sequence_once():
    terms = [ctc(torch.zeros(2, 1, 4), torch.tensor([1, 1]), [torch.tensor([1]), torch.tensor([1, 2])])] * 2
    assert join(terms).left_out == (1,)


@pytest.mark.parametrize("label", [0, 4, -1])
def test_a_label_that_is_the_blank_or_unknown_is_refused(label):
    with pytest.raises(ValueError, match=f"row 0 has label {label}: give 0 to 3, without 0"):
        ctc(torch.zeros(1, 3, 4), torch.tensor([3]), [torch.tensor([1, label])])


def test_no_utterances_cost_nothing_but_keep_the_graph():
    logits = torch.zeros(0, 3, 4, requires_grad=True)
    term = ctc(logits, torch.zeros(0, dtype=torch.long), [])
    term.sum.backward()
    assert (term.sum.item(), term.count) == (0.0, 0)
