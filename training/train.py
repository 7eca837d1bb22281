"""Train or fine-tune a model: `accelerate launch -m training.train --dataset DIR --output DIR`.

The same as `telescope train`, started from a checkout.
"""

import sys

from telescope_transformer.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
