"""The conformance kit of parts: one test for each part and each check of its kind."""

import functools
from pathlib import Path

import pytest

from auralign.models.connectors import StackAndProject
from auralign.models.encoders import load_whisper
from auralign.testing import CONNECTOR_CHECKS, ENCODER_CHECKS, parametrize_parts
from auralign.testing.checks.parts import name_of


def test_connectors_and_encoders_are_tried_in_one_kit_each_by_its_own_checks():
    (_, cases) = parametrize_parts(connectors=[StackAndProject], encoders=[load_whisper]).args
    assert [case.id for case in cases] == [
        *(f"StackAndProject-0-{check.__name__}" for check in CONNECTOR_CHECKS),
        *(f"load_whisper-1-{check.__name__}" for check in ENCODER_CHECKS),
    ]


def test_a_part_is_named_by_its_constructor():
    make = functools.partial(functools.partial(StackAndProject, 1), stride=Path)
    assert name_of(make) == "StackAndProject(1, stride=Path)"


def test_a_kit_without_parts_is_refused():
    with pytest.raises(ValueError, match=r"give connectors=\[...\], encoders=\[...\], or both"):
        parametrize_parts()
