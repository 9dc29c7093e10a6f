"""Earlier names of `auralign.score.task_metrics`, for recipes that import them."""

from auralign.score import task_metrics
from auralign.score.task_metrics import *  # noqa: F403

Measure, Measured = task_metrics.Metric, task_metrics.MetricValue
