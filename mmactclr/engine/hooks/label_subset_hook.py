"""Writes down which labels a semi-supervised run has used."""
from collections.abc import Mapping
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmactclr.datasets import write_label_subset
from mmactclr.registry import HOOKS


@HOOKS.register_module()
class LabelSubsetHook(Hook):
    """Writes ``label_subset.json`` into the work dir: the sequences that were drawn, and how.

    The file is one of :func:`~mmactclr.datasets.write_label_subset`, so another run can be given the same labels by
    ``label_subset=FILE``.
    """

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Write the file, where the training part is a label subset."""
        dataset = runner.train_dataloader.dataset
        drawn = getattr(dataset, 'metainfo', {}).get('label_subset')
        if not drawn:
            return
        how = dict(drawn) if isinstance(drawn, Mapping) else dict(file=str(drawn))
        path = write_label_subset(Path(runner.work_dir) / 'label_subset.json', dataset.archive, dataset.index,
                                  split=dataset.metainfo['split'], **how)
        runner.logger.info(f'{len(dataset)} labelled training sequences: {path}')
