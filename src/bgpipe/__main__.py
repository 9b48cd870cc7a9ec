"""`python -m bgpipe` is the command `bgpipe`."""

import sys

from .cli.main import main

sys.exit(main())
