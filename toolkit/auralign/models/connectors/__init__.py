"""Connectors, the trained part: from frames of a speech encoder to embeddings of an LLM."""

from auralign.models.connectors.connector import Connector
from auralign.models.connectors.counting import ContinuousIntegrateAndFire, CountedQFormer, fire
from auralign.models.connectors.layers import WeightedLayers
from auralign.models.connectors.qformer import MultiLayerQFormer, WindowedQFormer, make_qformer
from auralign.models.connectors.stacking import ConvolveAndProject, StackAndProject, UltravoxProjector

__all__ = [
    "Connector",
    "ContinuousIntegrateAndFire",
    "ConvolveAndProject",
    "CountedQFormer",
    "MultiLayerQFormer",
    "StackAndProject",
    "UltravoxProjector",
    "WeightedLayers",
    "WindowedQFormer",
    "fire",
    "make_qformer",
]
