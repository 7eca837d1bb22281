"""The Space's page: a form that computes the metric."""

from pathlib import Path

import evaluate
from evaluate.utils import launch_gradio_widget

HERE = Path(__file__)
# On the Hub, the module's file has the name of the repository.
MODULE = next(path for path in sorted(HERE.parent.glob("*.py")) if path.name != HERE.name)

launch_gradio_widget(evaluate.load(str(MODULE)))
