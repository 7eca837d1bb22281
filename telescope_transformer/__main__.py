"""`python -m telescope_transformer`: the command line, as `telescope` starts it."""

from telescope_transformer.cli.main import main

if __name__ == "__main__":
    main()
