"""What a run will need, before it starts: `auralign plan RUN`.

    print(plan(RunFolder.open("hparams/sift.yaml"), gpus=8, memory=80e9))

`sizes` reads the configs of the models, whose weights are not loaded. `positions` reads the manifests and, if stage 2 has worked,
the lengths of its targets. `estimate` turns both into memory, time and disk. Every number is an estimate; the docstrings have the
formulas.
"""

from auralign.plan.estimate import Plan, plan

__all__ = ["Plan", "plan"]
