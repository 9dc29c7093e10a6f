"""LLMs of every kind, for the tests of models."""

import pytest

from auralign.models.llm import load_llm
from auralign.render import Renderer
from auralign.testing import KINDS


@pytest.fixture(scope="module", params=KINDS)
def llm_folder(request, make_llm):
    """One of every kind of LLM."""
    return make_llm(request.param)


@pytest.fixture(scope="module")
def llm(llm_folder):  # not conftest's: pytest would keep that of the two kinds it has there
    return load_llm(llm_folder)


@pytest.fixture(scope="module")
def renderer(llm):
    return Renderer(llm.tokenizer)
