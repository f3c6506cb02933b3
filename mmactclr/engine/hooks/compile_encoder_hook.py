"""Compiles the encoders before training."""
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmactclr.registry import HOOKS

from .method import get_method

ENCODERS = ('backbone', 'backbone_k')


@HOOKS.register_module()
class CompileEncoderHook(Hook):
    """Runs ``torch.compile`` on the encoders alone, whose names in a checkpoint stay what they are.

    mmengine's ``compile=True`` takes in the whole step, which the memory, written in place, does not survive. The
    first steps take minutes; see docs/performance.md for what it gains where.

    Args:
        backend: Backend of ``torch.compile``.
    """

    priority = 'LOW'

    def __init__(self, backend: str = 'inductor') -> None:
        self.backend = backend

    def before_train(self, runner: Runner) -> None:
        """Compile the encoders of every branch."""
        encoders = [getattr(branch, name) for branch in get_method(runner, 'CompileEncoderHook').branches().values()
                    for name in ENCODERS if hasattr(branch, name)]
        for encoder in encoders:
            # batches differ in how many persons are present
            encoder.compile(backend=self.backend, dynamic=True)
        runner.logger.info(f'{len(encoders)} encoders are compiled; the first steps take minutes')
