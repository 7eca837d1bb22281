"""The Space's page: a form that computes the metric."""

from pathlib import Path

import evaluate
from evaluate.utils import launch_gradio_widget

HERE = Path(__file__)
# The Hub names the module's file after the repository, whatever that is called.
MODULE = next(path for path in sorted(HERE.parent.glob("*.py")) if path.name != HERE.name)

launch_gradio_widget(evaluate.load(str(MODULE)))
