"""What drives a run: hooks, loops, optimiser and model wrappers."""
from .hooks import *  # noqa: F403
from .loops import *  # noqa: F403
from .optimizers import *  # noqa: F403
from .quiet_runner import QuietRunner  # noqa: F401
from .wrappers import *  # noqa: F403
