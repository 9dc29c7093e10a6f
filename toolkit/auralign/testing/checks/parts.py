"""The conformance kit of connectors and encoders: what every part must satisfy, in any package.

    # tests/test_my_parts.py
    from functools import partial
    from auralign.testing import parametrize_parts
    from my_parts import MyConnector, MyEncoder

    @parametrize_parts(connectors=[MyConnector, partial(MyConnector, stride=8)], encoders=[MyEncoder])
    def test_my_parts(part, check):
        check(part)

Each check builds parts of its own, so that none sees what another changed. Its docstring says why it is there, its failure what
to do.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from auralign.models.connectors import Connector
from auralign.models.encoders import SpeechEncoder
from auralign.testing.checks import connectors as of_connectors
from auralign.testing.checks import encoders as of_encoders
from auralign.testing.checks.failure import explain, fail

if TYPE_CHECKING:
    import pytest

CONNECTOR_CHECKS = (
    of_connectors.check_output,
    of_connectors.check_num_embeddings,
    of_connectors.check_token_count,
    of_connectors.check_alone_equals_batched,
    of_connectors.check_padding_is_ignored,
    of_connectors.check_training_ignores_batch_mates,
    of_connectors.check_deterministic,
    of_connectors.check_half_precision,
    of_connectors.check_every_weight_learns,
    of_connectors.check_seeds,
    of_connectors.check_weights_are_saved,
)
ENCODER_CHECKS = (
    of_encoders.check_output,
    of_encoders.check_num_frames,
    of_encoders.check_alone_equals_batched,
    of_encoders.check_frozen,
    of_encoders.check_deterministic,
    of_encoders.check_fingerprint,
    of_encoders.check_bad_audio_is_refused,
)
WIDTHS = (24, 16)  # of the frames and of the LLM: they differ, and many numbers of heads divide them


class TriedConnector:
    """A connector under test, built anew for each check.

    Arguments
    ---------
    make : callable
        From the widths of the frames and of the LLM to a Connector: a class, or a `functools.partial` with its arguments.
    widths : (int, int)
        The two widths.
    """

    def __init__(self, make: Callable[..., Connector], widths: tuple[int, int]):
        self.make, self.widths = make, widths
        self.name = name_of(make)

    def build(self, seed: int = 0) -> Connector:
        """A new connector in eval mode, its weights drawn with a seed. Raises CheckFailedError if it cannot be made."""
        torch.manual_seed(seed)
        try:
            connector = self.make(*self.widths)
        except Exception as error:
            fail(
                self,
                f"it cannot be made for frames of width {self.widths[0]} and an LLM of width {self.widths[1]}: {error}",
                "give its arguments with functools.partial, or other widths: parametrize_parts(..., widths=(48, 32))",
            )
        if not isinstance(connector, Connector):
            fail(
                self,
                f"it makes a {type(connector).__name__}",
                "derive it from auralign.models.connectors.Connector",
            )
        return connector.eval()


class TriedEncoder:
    """An encoder under test, built anew for each check.

    Arguments
    ---------
    make : callable
        A class or a function that returns a SpeechEncoder. If it takes `seed`, it is given one for the random weights; in any
        case torch's generator is seeded before.
    """

    def __init__(self, make: Callable[..., SpeechEncoder]):
        self.make = make
        self.name = name_of(make)

    def build(self, seed: int = 0) -> SpeechEncoder:
        """A new encoder, its weights drawn with a seed. Raises CheckFailedError if it cannot be made."""
        torch.manual_seed(seed)
        try:
            takes_seed = "seed" in inspect.signature(self.make).parameters
            encoder = self.make(seed=seed) if takes_seed else self.make()
        except Exception as error:
            fail(
                self,
                f"it cannot be made: {type(error).__name__}: {error}",
                "give its arguments with functools.partial, or a function that returns it",
            )
        if not isinstance(encoder, SpeechEncoder):
            fail(
                self,
                f"it makes a {type(encoder).__name__}",
                "derive it from auralign.models.encoders.SpeechEncoder",
            )
        return encoder


def name_of(make: Callable) -> str:
    """The name of a constructor with its arguments, for messages and for the ids of tests.

    >>> name_of(functools.partial(dict, stride=4))
    'dict(stride=4)'
    """
    if isinstance(make, functools.partial):
        arguments = [
            *map(_short, make.args),
            *(f"{name}={_short(value)}" for name, value in make.keywords.items()),
        ]
        return f"{name_of(make.func)}({', '.join(arguments)})"
    return getattr(make, "__name__", None) or repr(make)


def _short(value: object) -> str:
    return getattr(value, "__name__", None) or repr(value)


def parametrize_parts(
    *,
    connectors: Sequence[Callable[..., Connector]] = (),
    encoders: Sequence[Callable[..., SpeechEncoder]] = (),
    widths: tuple[int, int] = WIDTHS,
) -> "pytest.MarkDecorator":
    """A pytest decorator: one test, with the arguments `part` and `check`, for each connector or encoder and each of its checks.

    Arguments
    ---------
    connectors : sequence of callables
        Classes, or constructors as a YAML's `!name:` makes them: called with the two widths.
    encoders : sequence of callables
        Classes or functions that return an encoder. One that loads its weights from a file takes `seed` (int), and writes and
        loads random weights drawn with it, as two encoders are compared.
    widths : (int, int)
        Widths of the frames and of the LLM that connectors are made for; default (24, 16).

    Raises ValueError if neither connectors nor encoders are given.
    """
    import pytest

    if not connectors and not encoders:
        raise ValueError("parametrize_parts: give connectors=[...], encoders=[...], or both")
    tried: list[tuple[TriedConnector | TriedEncoder, tuple[Callable, ...]]] = [
        *((TriedConnector(make, widths), CONNECTOR_CHECKS) for make in connectors),
        *((TriedEncoder(make), ENCODER_CHECKS) for make in encoders),
    ]
    cases = [
        pytest.param(
            part, functools.partial(run_part_check, check), id=f"{part.name}-{number}-{check.__name__}"
        )
        for number, (part, checks) in enumerate(tried)
        for check in checks
    ]
    return pytest.mark.parametrize(("part", "check"), cases)


def run_part_check(check: Callable, part: TriedConnector | TriedEncoder) -> None:
    """Run one check of a connector or an encoder. Raises CheckFailedError, also for whatever the part itself raises."""
    __tracebackhide__ = True  # of pytest: what failed is the part, not the kit
    try:
        check(part)
    except Exception as error:
        raise explain(check, error) from error
