"""What drives a run: hooks, loops and optimiser wrappers."""
from .hooks import *  # noqa: F403
from .loops import *  # noqa: F403
from .optimizers import *  # noqa: F403
from .quiet_runner import QuietRunner  # noqa: F401
