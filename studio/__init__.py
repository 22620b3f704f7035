"""LoRA Studio: every image is made under a contract."""

import os

__version__ = "0.1.0"

# OpenMP reads it when torch is loaded, which is after this. Threads that wait for one another then
# sleep: by spinning they use up the cores they wait for, wherever another program or a container's
# quota leaves fewer of them than there are threads. No number of a picture depends on it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
