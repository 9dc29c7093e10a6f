"""What a set of targets will teach a connector, measured before it is trained: `auralign audit`.

    found = audit("targets.jsonl", llm="models/llm")         # an Audit; `auralign audit targets.jsonl --llm models/llm`
    found.measures["conflict"].value, found.failed

| module | what |
|---|---|
| `examples`, `foreign` | targets of stage 2, and those written elsewhere: transcript, instruction, target |
| `texts` | the measures of the texts alone |
| `surprise` | the measures that the LLM gives |
| `cost` | what reading them with the LLM will take |
| `measures` | every measure: its definition, its limit, and what to do if it is beyond it |
| `summary` | the measures of a set of targets, and the same by instruction |
| `run` | all of it together |
| `page`, `picture` | the page in Markdown and HTML |
"""

from auralign.audit.measures import MEASURES, Measure
from auralign.audit.run import Audit, audit

__all__ = ["MEASURES", "Audit", "Measure", "audit"]
