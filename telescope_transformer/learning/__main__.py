"""`python -m telescope_transformer.learning`: `telescope train` in a form that `accelerate launch` takes."""

import sys

from telescope_transformer.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
