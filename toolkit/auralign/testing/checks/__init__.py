"""The conformance kit: what every alignment method must satisfy, in any package.

    # tests/test_keywords.py
    from auralign.testing import parametrize_with_checks
    from my_methods import Keywords

    @parametrize_with_checks([Keywords])
    def test_keywords(method, check):
        check(method)

Each check is a function of a method; its docstring says why it is there, its failure what to do. Options to try are on the
method's class (`examples`), as do checks that cannot hold for it, with the reason (`expected_failures`): such a check must
fail, or it is no longer expected to.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from auralign.method import AlignmentMethod
from auralign.testing.checks.description import check_metadata, check_options
from auralign.testing.checks.failure import CheckFailedError, explain
from auralign.testing.checks.layouts import (
    check_choices_are_kept,
    check_layout,
    check_layout_is_pure,
    check_layout_knows_no_answer,
    check_odd_texts,
    check_student_is_asked_what_the_teacher_is,
    check_student_is_not_told,
)
from auralign.testing.checks.losses import (
    check_it_learns,
    check_loss,
    check_teacher_is_matched_by_an_oracle,
    check_terms_count_their_unit,
    check_what_is_frozen_stays,
)

if TYPE_CHECKING:
    import pytest

CHECKS = (
    check_metadata,
    check_options,
    check_layout,
    check_layout_knows_no_answer,
    check_layout_is_pure,
    check_choices_are_kept,
    check_odd_texts,
    check_student_is_asked_what_the_teacher_is,
    check_student_is_not_told,
    check_loss,
    check_terms_count_their_unit,
    check_teacher_is_matched_by_an_oracle,
    check_what_is_frozen_stays,
    check_it_learns,
)


def check_method(method: type[AlignmentMethod] | AlignmentMethod) -> None:
    """Run every check on a method, or on a class with each of its `examples`. Raises CheckFailedError at the first failure."""
    for instance in instances(method):
        for check in CHECKS:
            run_check(check, instance)


def parametrize_with_checks(
    methods: Sequence[type[AlignmentMethod] | AlignmentMethod],
) -> "pytest.MarkDecorator":
    """A pytest decorator: one test for each method (or class, with each of its `examples`) and each check."""
    import pytest

    cases = [
        pytest.param(instance, partial(run_check, check), id=f"{instance.name}-{number}-{check.__name__}")
        for method in methods
        for number, instance in enumerate(instances(method))
        for check in CHECKS
    ]
    return pytest.mark.parametrize(("method", "check"), cases)


def instances(method: type[AlignmentMethod] | AlignmentMethod) -> list[AlignmentMethod]:
    """A method itself, or a class made with each of its `examples`."""
    if isinstance(method, AlignmentMethod):
        return [method]
    try:
        return [method(**options) for options in method.examples]
    except TypeError as error:
        raise CheckFailedError(
            f"{method.__name__} cannot be made with its examples {method.examples}: {error}; give every option a default, or "
            "name options that work in the class's `examples`"
        ) from error


def run_check(check: Callable[[AlignmentMethod], None], method: AlignmentMethod) -> None:
    """Run one check; one that is declared in `expected_failures` must fail. Raises CheckFailedError otherwise."""
    reason = method.expected_failures.get(check.__name__)
    __tracebackhide__ = True  # of pytest: what failed is the method, not the kit
    try:
        check(method)
    except Exception as error:  # whatever a method raises, it is a failure
        if reason is not None:
            return
        raise explain(check, error) from error
    if reason is not None:
        raise CheckFailedError(
            f"{method.name}: {check.__name__} passes, but is declared to fail ({reason}); remove it from expected_failures"
        )
