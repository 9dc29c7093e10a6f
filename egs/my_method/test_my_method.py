"""The checks that every alignment method passes."""

from my_method import MyMethod

from auralign.testing import parametrize_with_checks


@parametrize_with_checks([MyMethod])
def test_my_method(method, check):
    check(method)
