"""A runner for people who watch a terminal."""
import logging
from typing import Any

from mmengine.logging import MMLogger
from mmengine.runner import Runner

from mmactclr.registry import RUNNERS

# mmengine warns of its own use of these at every start; there is nothing a user could do
_NOISE = ('"FileClient" will be deprecated', '"HardDiskBackend" is the alias')


@RUNNERS.register_module()
class QuietRunner(Runner):
    """mmengine's Runner whose log goes to its file; the terminal shows progress and warnings only."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger and keep everything below a warning off the terminal."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                handler.setLevel(logging.WARNING)
                handler.addFilter(lambda record: not record.getMessage().startswith(_NOISE))
        return logger
