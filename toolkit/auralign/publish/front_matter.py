"""The front matter of a card: what the hub's search and its page know of a model or a data set.

>>> print(join({"license": "mit"}, "# Title\\n"))
---
license: mit
---
<BLANKLINE>
# Title
<BLANKLINE>
>>> split("---\\nlicense: mit\\n---\\n\\n# Title\\n")
({'license': 'mit'}, '# Title\\n')
"""

import io
import itertools
import re
from pathlib import Path
from typing import Any

from auralign.hub import resolve
from auralign.publish.model_folder import hub_id_of
from auralign.records import Utterance, read_rows
from auralign.run_folder import RunFolder

NUM_READ = 1000  # utterances that are read for their languages
LICENCE = ("license", "license_name", "license_link")
TASK = "audio-text-to-text"  # the hub's name for it


def split(card: str) -> tuple[dict[str, Any], str]:
    """The front matter and the text of a card; the front matter is empty if the card has none.

    Raises ValueError if the front matter is not a YAML mapping.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    found = re.match(r"---\r?\n(.*?)^---\r?\n\s*", card, flags=re.MULTILINE | re.DOTALL)
    if found is None:
        return {}, card
    try:
        values = YAML(typ="safe", pure=True).load(found[1])
    except YAMLError as error:
        raise ValueError(
            f"the front matter of the card is not YAML ({' '.join(str(error).split())}); repair it"
        ) from error
    if not isinstance(values, dict | None):
        raise ValueError(f"the front matter of the card is {type(values).__name__}, not a mapping; repair it")
    return values or {}, card[found.end() :]


def join(values: dict[str, Any], text: str) -> str:
    """A card of a front matter and a text; values that are empty are left out."""
    from ruamel.yaml import YAML

    written = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.dump({name: value for name, value in values.items() if value}, written)
    return f"---\n{written.getvalue()}---\n\n{text}"


def of_model(recipe, config: dict, *, native=None) -> dict[str, Any]:
    """The front matter of a model folder's card, as far as it is known.

    Arguments
    ---------
    recipe : Recipe
    config : dict
        The content of `auralign.json`.
    native : Architecture, optional
        That of transformers in which the folder is written; default: auralign's own.

    Returns dict: `base_model` names the bases that were taken from the hub; `license` is that of the LLM, if its own card says
    one; `language` is that of the training data.
    """
    encoders = (parts["encoder"] for parts in config["branches"].values())
    references = map(hub_id_of, (config["llm"], config["encoder"], *encoders))
    bases = [reference.id for reference in references if reference]
    is_whole = native is not None and bool(native.class_name)  # with the weights of encoder and LLM
    return {
        "library_name": "transformers" if is_whole else "auralign",
        "pipeline_tag": TASK,
        **licence_of(getattr(recipe.llm, "keywords", {}).get("path")),
        "base_model": list(dict.fromkeys(bases)),
        "base_model_relation": ("finetune" if is_whole or config["train_llm"] else "adapter")
        if bases
        else "",
        "language": languages_of(recipe),
        "tags": ["auralign", "speech-llm", "audio", recipe.method.name],
    }


def licence_of(path) -> dict[str, str]:
    """The licence that the card beside a model states: `license`, and `license_name` and `license_link` if it is "other"."""
    card = resolve(path or "") / "README.md"
    if not path or not card.is_file():
        return {}
    try:
        values, _ = split(card.read_text(encoding="utf-8"))
    except ValueError:
        return {}  # the card of another author, which we cannot repair
    return {name: str(values[name]) for name in LICENCE if values.get(name)}


def languages_of(recipe) -> list[str]:
    """The languages of the first training utterances, as ISO 639 codes: "en" for "en_US"; a name such as "English" is none."""
    path = Path(RunFolder(recipe).data.manifest("train"))
    if not path.is_file():
        return []
    read = itertools.islice(read_rows(path, Utterance), NUM_READ)
    codes = {re.split("[-_]", utterance.language)[0].lower() for utterance in read}
    return sorted(code for code in codes if re.fullmatch("[a-z]{2,3}", code))
