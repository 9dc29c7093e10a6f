"""auralign gives text LLMs ears, with alignment targets that the LLM writes itself.

    import auralign

    recipe = auralign.Recipe.load("hparams/sift.yaml", **{"connector.stride": 4, "output_folder": "exp/stride_4"})
    run = auralign.train(recipe)
    auralign.evaluate(run, "data/synthetic/test.jsonl", ask=["Repeat: {speech}"])

The names of `__all__` are stable. They are imported when they are first used, so that `auralign --help` answers at once. The
sub-packages are laid out along the five stages: `data` (prepare), `generate`, `train`, `decode`, `score`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from auralign.lazy import lazily

__version__ = "0.1.0"

_imported, _names = lazily(
    "auralign",
    {
        "evaluation": ["evaluate"],
        "layout": ["Code", "Layout", "Response", "Speech", "Target", "Text", "View"],
        "losses": ["Term"],
        "method": ["AlignmentMethod", "Needs"],
        "plugins": ["load_method"],
        "publish.load": ["load"],
        "recipe": ["Recipe"],
        "records": ["Choice", "Utterance"],
        "run_folder": ["RunFolder"],
    },
)
__all__ = ["train", *_names]  # noqa: PLE0604

if TYPE_CHECKING:
    from auralign.api import train as train
    from auralign.evaluation import evaluate as evaluate
    from auralign.layout import Code as Code
    from auralign.layout import Layout as Layout
    from auralign.layout import Response as Response
    from auralign.layout import Speech as Speech
    from auralign.layout import Target as Target
    from auralign.layout import Text as Text
    from auralign.layout import View as View
    from auralign.losses import Term as Term
    from auralign.method import AlignmentMethod as AlignmentMethod
    from auralign.method import Needs as Needs
    from auralign.plugins import load_method as load_method
    from auralign.publish.load import load as load
    from auralign.recipe import Recipe as Recipe
    from auralign.records import Choice as Choice
    from auralign.records import Utterance as Utterance
    from auralign.run_folder import RunFolder as RunFolder


def __getattr__(name: str) -> Any:
    if name == "train":  # the package of stage 3, which can be called
        return importlib.import_module("auralign.train")
    return _imported(name)
