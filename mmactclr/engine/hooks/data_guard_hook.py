"""Notices data that change under a run."""
import logging

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmactclr.engine.checkpoints.last_good import newest_text
from mmactclr.engine.data_watch import DataWatch
from mmactclr.errors import DataError, RunError
from mmactclr.registry import HOOKS


@HOOKS.register_module()
class DataGuardHook(Hook):
    """Stops a run whose archive or prepared sequences change while it reads them, or since its checkpoint.

    Size, time and number of every file are looked at when an epoch begins, so that no checkpoint is made of data that
    are half old and half new. A file that is cut short while it is mapped ends the process with SIGBUS as soon as what
    is missing is read, which no Python code can catch; the look at the beginning of an epoch comes before that unless
    it happens within one.

    Args:
        allow_other: Go on, with a warning, from a checkpoint of other data.
    """

    # before anything of an epoch is read
    priority = 'VERY_HIGH'

    def __init__(self, allow_other: bool = False) -> None:
        self.allow_other = allow_other
        self._watch: DataWatch | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the data with those that a run that goes on was trained on.

        Raises:
            RunError: If they are others.
        """
        if not runner._resume or runner._train_loop is None:
            return
        meta = checkpoint.get('meta', {}).get('dataset_meta')
        before = meta.get('checksum') if isinstance(meta, dict) else None
        current = getattr(runner.train_dataloader.dataset, 'metainfo', {})
        if before is None or current.get('checksum') in (None, before):
            return
        text = (f'the checkpoint {runner._load_from} was trained on data with the checksum {before[:12]}, those at '
                f'{current["data_root"]} have {current["checksum"][:12]}')
        if self.allow_other:
            print_log(f'{text}; the run goes on with the new ones', logger='current', level=logging.WARNING)
            return
        raise RunError(f'{text}: they were converted anew or data_root is another folder. Put the data back, start a '
                       f'new run from the weights (--cfg-options load_from={runner._load_from}, without --resume), or '
                       'go on with the new data: --cfg-options default_hooks.data_guard.allow_other=True')

    def before_train(self, runner: Runner) -> None:
        """Remember the files."""
        datasets = [runner.train_dataloader.dataset]
        if runner.val_loop is not None:
            datasets.append(runner.val_dataloader.dataset)
        self._watch = DataWatch(datasets)

    def before_train_epoch(self, runner: Runner) -> None:
        """Look at them again.

        Raises:
            RunError: If they are no longer those that the run began with.
        """
        self._check(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Look once more before a checkpoint is written of what the epoch saw.

        Raises:
            RunError: If they changed during the epoch.
        """
        self._check(runner)

    def before_val_epoch(self, runner: Runner) -> None:
        """Before an evaluation reads them.

        Raises:
            RunError: If they changed.
        """
        if self._watch is not None:
            self._check(runner)

    def _check(self, runner: Runner) -> None:
        try:
            if self._watch is not None:
                self._watch.check()
        except DataError as error:
            raise RunError(f'epoch {runner.epoch + 1}: {error}; {newest_text(runner.work_dir)}. Put the data back as '
                           'they were (tools/dataset_converters/verify.py tells) and go on with --resume') from error
