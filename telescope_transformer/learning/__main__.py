"""`python -m telescope_transformer.learning`: `telescope train` as a module, for `accelerate launch -m`."""

import sys

from telescope_transformer.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
