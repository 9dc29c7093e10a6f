"""The benchmark of prompt and task generalisation: `auralign evaluate MODEL --benchmark generalisation`.

A fixed set of tasks, each in five wordings, is asked about spoken sentences (LibriSpeech test-clean) and about spoken digits.
Which of the tasks and wordings a model was trained on is read from its targets. The result is one page: what a new wording
costs, what a new task costs, and the distances to the text, to the cascade and to the floor.

| module | what |
|---|---|
| `task` | a task: its wordings, its rule, and how a task of that kind is found among training instructions |
| `sentences`, `digits` | the tasks over spoken sentences and over spoken digits |
| `exposure` | which tasks and wordings the targets of a training hold |
| `questions` | which utterances are asked about, and the questions |
| `judge` | the judge of the answers |
| `result`, `page` | the measures, and the page |
"""

VERSION = "1"
"""Of the tasks, their wordings and rules, and of the choice of utterances: results of different versions do not compare."""
NAME = "generalisation"
