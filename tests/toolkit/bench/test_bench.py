"""Benchmarks: gates that catch an arm which computes something else, counters, and the command."""

import sys
from types import SimpleNamespace

import pytest
import torch

from auralign import bench, cli
from auralign.bench import Row, Settings, corpus, counters, peers, training
from auralign.bench.ours import World
from auralign.losses import cross_entropy
from auralign.models import sending


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(corpus.SIZES, "tiny", corpus.Size(4_096, 64, 2, 128, 4, 2, 64, 1))
        yield World.make(tmp_path_factory.mktemp("world"), corpus.COMMON_VOICE, Settings(), number=3)


@pytest.mark.parametrize("name", ["slam_llm", "blsp", "speechbrain", "azeros", "salm"])
def test_a_peer_computes_the_loss_and_the_gradient_of_auralign(world, name):
    ours = world.ours("sift", padding=training.AS_PADDED.get(name, training.TRUE_LENGTH))
    assert training.gate(name, ours, term="cross_entropy") == ""


def test_ultravox_computes_the_divergence_of_auralign(world):
    assert training.gate("ultravox", world.ours("distillation"), term="divergence") == ""


def test_a_gate_fails_if_an_arm_hears_other_audio(world):
    # SLAM-LLM hears 30 s, this arm of auralign the clip alone.
    assert "its loss differs by" in training.gate("slam_llm", world.ours("sift"), term="cross_entropy")


def test_arms_see_padding(world):
    ours = world.ours("sift")
    _, number, parts = training.run_peer("slam_llm", ours, peers.shuffled(ours.items()))
    assert number == sum(len(item.target) for item in ours.items())
    assert 0 < parts.used < parts.laid


def test_what_would_wait_for_a_gpu_is_counted():
    layer, in_memory = torch.nn.Linear(2, 2), torch.ones(2)
    with counters.counting(layer) as found:
        assert in_memory.sum().item() == 2  # a GPU has nothing to do with it
        assert in_memory.tolist() == [1, 1]
        out = layer(sending.send(in_memory, torch.device("cpu")))
        assert (found["wait"], found["copy"]) == (0, 1)
        out.sum().item()
        out.tolist()
        out[out > 0]  # how many?
        assert not out.cpu().is_cuda
        assert out.is_cuda
        out.sum().backward()
        bool(layer.weight.grad.isfinite().all())
    assert (found["wait"], found["copy"]) == (5, 1)
    assert not out.is_cuda
    out.tolist()
    assert (found["wait"], found["copy"]) == (5, 1)


def test_a_step_waits_at_most_three_times(world):
    words = counters.count_waits(world.ours("sift")).split()
    assert int(words[0]) <= 3


def test_operations_of_products_and_attention_are_counted_by_hand():
    weight, inputs = torch.randn(3, 5), torch.randn(7, 5, requires_grad=True)
    states = torch.randn(1, 2, 10, 4)
    assert counters.count_operations(lambda: (inputs @ weight.T).sum().backward()) == 2 * 2 * 7 * 5 * 3
    head, states_of = torch.nn.Linear(5, 11).requires_grad_(False), inputs.detach().requires_grad_()
    labels = torch.zeros(7, dtype=torch.long)
    assert counters.count_operations(lambda: cross_entropy(states_of, labels, head).sum) == 2 * 2 * 7 * 5 * 11
    attend = torch.nn.functional.scaled_dot_product_attention
    assert counters.count_operations(lambda: attend(states, states, states)) == 2 * 2 * (2 * 10 * 10 * 4)
    assert counters.count_operations(lambda: attend(states, states, states, is_causal=True)) == 1_600


def test_lengths_are_those_of_the_corpora():
    assert corpus.draw_seconds(corpus.LIBRISPEECH, 10_000).mean() == pytest.approx(12.3, abs=0.3)
    assert corpus.draw_seconds(corpus.COMMON_VOICE, 10_000).mean() == pytest.approx(5.3, abs=0.2)


def command(monkeypatch, *rows):
    monkeypatch.setitem(sys.modules, "made", SimpleNamespace(measure=lambda settings: iter(rows)))
    monkeypatch.setitem(bench.BENCHMARKS, "made", "made")


def test_a_row_whose_gate_fails_is_void_and_the_command_fails(monkeypatch, capsys):
    command(monkeypatch, Row("a", "2 times", "bar 1: reached"), Row("b", "3 times", void="its loss differs"))
    assert cli.run(["bench", "made"]) == 1
    assert capsys.readouterr().out == (
        "made: a: 2 times; bar 1: reached\nmade: b: VOID, its loss differs (measured: 3 times)\n"
    )


def test_a_report_is_rows_of_the_table(monkeypatch, capsys):
    command(monkeypatch, Row("a|b", "2 times", "bar 3: missed"))
    assert cli.run(["bench", "report", "made", "--repeats", "2"]) == 0
    what, command_line, figure, where = capsys.readouterr().out.strip().strip("|").split(" | ")
    assert (what.strip(), command_line) == (
        "a/b",
        "`auralign bench made --device cpu --scale tiny --repeats 2`",
    )
    assert figure == "2 times; bar 3: missed"
    assert f"torch {torch.__version__.partition('+')[0]}" in where


def test_without_a_name_the_benchmarks_are_listed_and_none_is_run(capsys):
    assert cli.run(["bench"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        f"`auralign bench {name}`" for name in bench.BENCHMARKS
    ]


def test_all_are_run_by_their_word(monkeypatch, capsys):
    for name in bench.BENCHMARKS:
        monkeypatch.setitem(bench.BENCHMARKS, name, "made")
    command(monkeypatch, Row("a", "2 times"))
    assert cli.run(["bench", "all"]) == 0
    assert [line.partition(": ")[0] for line in capsys.readouterr().out.splitlines()] == list(
        bench.BENCHMARKS
    )


def test_without_a_gpu_its_rows_are_not_run(monkeypatch, capsys):
    command(monkeypatch)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert cli.run(["bench", "made", "--device", "cuda"]) == 0
    assert "made on a GPU: not run" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["quick"], "no benchmark 'quick'"),
        (["scan", "--repeats", "0"], "--repeats 0: give at least 1"),
        (["scan", "--scale", "big"], "--scale big: use tiny, small, 7b-random or the folder of an LLM"),
    ],
)
def test_what_cannot_be_measured_is_refused(words, said):
    with pytest.raises(ValueError, match=said):
        cli.run(["bench", *words])
