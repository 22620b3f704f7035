"""What the studio costs, measured; see README.md."""

import studio  # noqa: F401  # before torch is loaded: it says how its threads wait
