"""`python -m bgpipe.routeserver` is `bgplite`."""

from .cli import main

raise SystemExit(main())
