"""A pack that does not fit into memory is split: the gradient is that of the whole, and one sequence is too much by name."""

import pytest
import torch

from auralign.environment import is_out_of_memory
from auralign.losses import total
from auralign.method import MethodFailedError, running
from auralign.plugins import load_method
from auralign.testing.world import get_world, make_packs
from auralign.train.memory import as_they_fit, split
from auralign.train.step import compute_terms, count_units


def gradients(model):
    return {name: p.grad.clone() for name, p in model.parts.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    ("name", "options"),
    [("sift", {}), ("distillation", {}), ("distillation", {"top_k": 4}), ("wav2prompt", {}), ("diva", {})],
)
def test_the_gradient_of_the_parts_is_that_of_the_whole(name, options):
    method = load_method(name, **options)
    model, _ = get_world(method)
    (pack,) = make_packs(method, [[0, 1, 2]])
    units, found = count_units([pack]), []
    for packs in ([pack], split(pack)):
        model.zero_grad(set_to_none=True)
        for one in packs:
            total(compute_terms(method, model, one), units).backward()
        found.append(gradients(model))
    assert count_units(split(pack)) == units
    assert found[0].keys() == found[1].keys()
    for key, whole in found[0].items():
        torch.testing.assert_close(found[1][key], whole, rtol=1e-4, atol=1e-6)


def test_a_pack_is_cut_where_its_halves_are_alike():
    method = load_method("sift")
    (pack,) = make_packs(method, [[0, 1, 2]])
    first, second = split(pack)
    assert (len(first.choices), len(second.choices)) in ((1, 2), (2, 1))
    assert first.choices + second.choices == pack.choices
    (frames, lengths) = second.frames["speech"]
    assert frames.shape[1] == lengths.max()


def test_what_was_run_before_the_pack_that_does_not_fit_is_run_again_and_once():
    method = load_method("sift")
    packs = make_packs(method, [[0], [0, 1, 2]])
    sums, begun = [], []

    def run(pack, number, part):
        sums.append(len(pack.choices))
        if len(pack.choices) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return number, part

    def begin_again(pack):
        begun.append(len(pack.choices))
        sums.clear()

    run_packs, results = as_they_fit(dict(enumerate(packs)), run, begin_again=begin_again)
    assert sums == [1, 1, 1, 1]
    assert begun == [3, 2]
    assert [len(pack.choices) for pack in run_packs] == [1, 1, 1, 1]
    assert results[0] == (0, 0)
    assert [number for number, _ in results[1:]] == [1, 1, 1]
    assert len(set(results)) == 4


def test_other_errors_are_not_retried():
    def run(pack, number, part):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        as_they_fit({0: None}, run, begin_again=pytest.fail)


def test_what_torch_says_when_there_is_no_memory_is_understood():
    with pytest.raises(RuntimeError) as cpu:
        torch.empty(2**50)
    assert is_out_of_memory(cpu.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("size mismatch"))


def test_no_memory_in_a_method_is_no_fault_of_the_method():
    method = load_method("sift")
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"), running(method, "loss"):
        torch.empty(2**50)
    with pytest.raises(MethodFailedError), running(method, "loss"):
        raise RuntimeError("size mismatch")
