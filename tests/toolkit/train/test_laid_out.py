"""Examples that are kept from their first use come back as they were, and take the memory that they are allowed."""

import tracemalloc
from random import Random

from auralign.records import Choice
from auralign.render import Piece, Rendered
from auralign.render.pieces import NO_TOKEN
from auralign.train import laid_out
from auralign.train.laid_out import LaidOut


def example(number):
    random = Random(number)

    def ids(most):
        return tuple(random.randrange(150_000) for _ in range(random.randrange(most)))

    speech = Piece("speech", None, "voice", span=(0.0, 0.5), num_read=number % 40)
    target = ids(60)
    tags = Piece("tags", (NO_TOKEN, NO_TOKEN), book="tags", codes=("good", number % 3))
    student = Rendered(
        (Piece("turn", ids(20)), speech, tags, Piece("turn", ()), Piece("target", target, num_end=1))
    )
    teacher = Rendered((Piece("turn", ids(20)), Piece("speech", ids(40)), Piece("target", target, num_end=0)))
    return Choice("asr", f"repeat {number % 5}", {"n": [number % 3]}), {
        "student": student,
        "teacher": teacher,
    }


def test_an_example_comes_back_as_it_was():
    kept = LaidOut()
    for number in range(50):
        kept.add(number, *example(number))
    for number in range(50):
        assert kept.get(number) == example(number)
    assert kept.get(50) is None


def test_beyond_the_limit_nothing_is_kept():
    tracemalloc.start()
    kept = LaidOut(max_bytes=10**6)
    for number in range(5_000):
        kept.add(number, *example(number))
    of_module = [tracemalloc.Filter(True, laid_out.__file__)]  # Python keeps memory of tuples that are gone
    size = sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(of_module).traces)
    tracemalloc.stop()
    found = [kept.get(number) is not None for number in range(5_000)]
    assert found[:1_000] == [True] * 1_000
    assert not all(found)
    assert size < 10**6
