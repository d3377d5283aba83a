"""Several processes that train one network together, as torchrun starts them.

Importing it does not import torch.
"""

import os
from datetime import timedelta

PATIENCE = timedelta(seconds=8)  # longest wait for other workers in an exchange


def is_launched() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ
