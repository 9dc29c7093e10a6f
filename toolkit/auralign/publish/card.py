"""The model card of a model folder."""

import json
import os
import re
from pathlib import Path

from auralign.bases import tell_source
from auralign.files import without_folders
from auralign.hub import resolve
from auralign.method import cite
from auralign.publish import front_matter
from auralign.train.resume import describe_changes

USAGE = (
    "A connector that lets an LLM hear through a frozen speech encoder. This folder holds what was trained, the",
    "{trained}: encoder and LLM are needed beside it.",
    "",
    "    import auralign",
    '    model = auralign.load("THIS FOLDER")            # llm=..., encoder=... if they are elsewhere',
    '    model.answer("speech.wav", "What was said?")',
)


def make_card(recipe, config: dict, report=None, *, usage=None, native=None, num_examples: int = 0) -> str:
    """The model card, in Markdown with front matter: parts, method, training, and how to use the model.

    Arguments
    ---------
    recipe : Recipe
    config : dict
        The content of `auralign.json`.
    report : path, optional
        Report of stage 5, whose ledger goes into the card without examples; default "not run".
    usage : sequence of str, optional
        Lines that say what the folder holds and how it is used; default `USAGE`.
    native : Architecture, optional
        That of transformers in which the folder is written; default: auralign's own.
    num_examples : int
        Answers that the folder holds with their recordings; default 0.

    Returns str. No path of this machine and no sentence of a test set is in it.
    """
    licence = _licence(getattr(recipe.llm, "keywords", {}).get("path"))
    options = _without_folders(recipe.method.options())
    trained = [
        "connector",
        *["LoRA"] * bool(config["lora"]),
        *["the weights of the LLM"] * config["train_llm"],
    ]
    lines = [
        f"# {config['llm']['name'].partition('@')[0]} with ears, by {recipe.method.name}",
        "",
        *(usage or [line.format(trained=" and ".join(trained)) for line in USAGE]),
        "",
        "| part | what |",
        "|---|---|",
        f"| LLM | {config['llm']['name']}, revision {config['llm']['revision']}; its licence: {licence} |",
        *_tell_sources(config),
        f"| encoder | {config['encoder']['call']}, {json.dumps(_without_folders(config['encoder']['with']))} |",
        f"| connector | {config['connector']['call']}, {json.dumps(_without_folders(config['connector']['with']))} |",
        *(
            f"| branch {name} | {parts['encoder']['call']}, {json.dumps(_without_folders(parts['encoder']['with']))}; "
            f"{parts['connector']['call']}, {json.dumps(_without_folders(parts['connector']['with']))} |"
            for name, parts in config["branches"].items()
        ),
        *(
            f"| book {name} | {account['call']}, {json.dumps(account['with'])} |"
            for name, account in config.get("books", {}).items()
        ),
        *(
            [f"| LoRA | {json.dumps(config['lora'])}, on positions: {config['lora_scope']} |"]
            if config["lora"]
            else []
        ),
        f"| method | {config['method']}, {cite(config['paper'])}; options {json.dumps(options)} |",
        f"| data | {Path(recipe.train_folder or recipe.data_folder).name}; seed {recipe.seed} |",
        *(
            [
                f"| examples | {num_examples} recording{'s' * (num_examples != 1)} of the test set, with the answers |"
            ]
            if num_examples
            else []
        ),
        f"| training | {_weights(config)}; auralign {config['auralign']} |",
        *(
            [f"| changed on the way | {'; '.join(map(_tell_entry, config['history']))} |"]
            if config["history"]
            else []
        ),
        "",
        "What the LLM's licence says of its outputs holds for the targets that this connector learned from.",
        "",
        without_folders(_as_section(Path(report).read_text(encoding="utf-8")))
        if report
        else "The gap ledger: not run.",
    ]
    text = "\n".join(lines).rstrip() + "\n"
    return front_matter.join(front_matter.of_model(recipe, config, native=native), text)


def _tell_sources(config: dict) -> list[str]:
    """A row for the exact weights of the LLM and of each encoder."""
    accounts = {"LLM": config["llm"], "encoder": config["encoder"]}
    accounts |= {f"encoder of {name}": parts["encoder"] for name, parts in config["branches"].items()}
    return [
        f"| weights of the {name} | {tell_source(account['source'])} |".replace("\n", " ")
        for name, account in accounts.items()
        if "source" in account
    ]


def _tell_entry(entry: dict) -> str:
    return f"at step {entry['step']}: {describe_changes(entry)}"


def _without_folders(value):
    """Paths outside the model folder cut to their names: cards are published."""
    if isinstance(value, dict):
        return {name: _without_folders(item) for name, item in value.items() if name != "places"}
    if isinstance(value, (list, tuple)):
        return [_without_folders(item) for item in value]
    outside = isinstance(value, str) and (os.path.isabs(value) or value.startswith(f"..{os.sep}"))
    return Path(value).name if outside else value


def _as_section(report: str) -> str:
    """The report without the sentences of its test set, its headings a level lower."""
    report = re.sub(r"^## Wrong answers\n.*?(?=^## )", "", report, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^#", "##", report, flags=re.MULTILINE)


def _weights(config: dict) -> str:
    if "averaged_steps" in config:
        return f"the mean of the checkpoints at the steps {', '.join(map(str, config['averaged_steps']))}"
    return f"step {config['step']}, validation loss {config['valid_loss']:.4f}"


def _licence(path) -> str:
    """The licence that the front matter of an LLM's own model card names."""
    card = resolve(path or "") / "README.md"
    if path and card.is_file():
        found = re.search(r"^license: *(\S+)", card.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if found:
            return found.group(1)
    return "not stated beside it; see its source"
