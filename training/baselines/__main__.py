"""`python -m training.baselines`: `training.evaluate` with every baseline."""

import sys

from training.baselines import METHODS
from training.evaluate import main

if __name__ == "__main__":
    sys.exit(main(program="training.baselines", baselines=tuple(METHODS)))
