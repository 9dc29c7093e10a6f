"""Tiny checkpoints on disk, made once for all tests."""

import gc
import os

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"


def pytest_collection_finish():
    """Each collection of garbage would look at all that the imported libraries and collected tests hold: half a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def make_llm(tmp_path_factory):
    """From a kind to the folder of a tiny LLM of it."""
    from functools import cache

    from auralign.testing import make_tiny_llm

    return cache(lambda kind: make_tiny_llm(tmp_path_factory.mktemp("llm") / kind, kind=kind))


@pytest.fixture(scope="session", params=["llama", "qwen2"])
def llm_folder(request, make_llm):
    return make_llm(request.param)


@pytest.fixture(scope="session")
def llm(llm_folder):
    from auralign.models.llm import load_llm

    return load_llm(llm_folder)


@pytest.fixture(scope="session")
def renderer(llm):
    from auralign.render import Renderer

    return Renderer(llm.tokenizer)


@pytest.fixture(scope="session")
def whisper_folder(tmp_path_factory):
    from auralign.testing import make_tiny_whisper

    return make_tiny_whisper(tmp_path_factory.mktemp("whisper") / "tiny")


@pytest.fixture
def hub(tmp_path):
    """A Hugging Face hub in memory, which `huggingface_hub` uses with a cache of its own."""
    from hub_server import serve_hub, used_by_huggingface_hub

    with serve_hub() as served, used_by_huggingface_hub(served, tmp_path / "huggingface"):
        yield served


@pytest.fixture
def offline(hub, monkeypatch):
    """From then on when it is called, HF_HUB_OFFLINE is set."""
    from huggingface_hub import constants

    def go():
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    return go
