"""The command line: one file and one function per command."""
