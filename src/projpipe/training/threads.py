"""How many threads compute: into how many parts a sum falls decides its last digits."""

import scipy.linalg  # noqa: F401 - its own libraries have to be there to be limited
import torch
from threadpoolctl import threadpool_limits


def use_threads(count: int) -> None:
    """Compute with so many threads from now on, whatever the machine has and OMP_NUM_THREADS says."""
    torch.set_num_threads(count)
    threadpool_limits(count)  # NumPy's and SciPy's linear algebra
