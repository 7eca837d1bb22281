"""`python -m telescope_transformer`: the same command line as `telescope`."""

from telescope_transformer.cli.main import main

if __name__ == "__main__":
    main()
