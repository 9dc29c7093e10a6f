"""The examples in the docstrings are true."""

import doctest
import importlib
import pkgutil

import pytest

import auralign

MODULES = sorted(module.name for module in pkgutil.walk_packages(auralign.__path__, "auralign."))


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_module(name):
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0
