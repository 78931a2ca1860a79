"""`python -m codesign.cli` is `codesign`."""

from codesign.cli.main import main

main()
