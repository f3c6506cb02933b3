"""Watches whether the actionlet finds what moves, where that is known."""
import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from mmactclr.datasets import SkeletonDataset
from mmactclr.errors import ConfigError
from mmactclr.evaluation import motion_region, overlap
from mmactclr.models import ActCLR
from mmactclr.registry import HOOKS

from .method import get_method


@HOOKS.register_module()
class ActionletOverlapHook(Hook):
    """Logs how actionlet and motion region overlap on the built-in synthetic set, before training and every so often.

    The sequences are always the same, spread evenly over the training set, without augmentation. The numbers of
    :func:`~mmactclr.evaluation.overlap` go to the log, to ``scalars.json`` and to the message hub as
    ``actionlet/overlap_iou`` and so on, with the stream before them where there are several. Nothing random is drawn
    and no state of the method changes, so a run is the same with and without this hook.

    Args:
        interval: Epochs between measurements.
        num: Sequences to measure on; all where there are fewer.

    Raises:
        ConfigError: If one of them is not positive.
    """

    def __init__(self, interval: int = 10, num: int = 64) -> None:
        if interval < 1 or num < 1:
            raise ConfigError(f'ActionletOverlapHook: interval is {interval} and num {num}, expected 1 or more of each')
        self.interval, self.num = interval, num

    def before_train(self, runner: Runner) -> None:
        """Find what moves; measure the encoder that a new run starts from.

        Raises:
            ConfigError: If the method has no actionlet or it is not known what moves in the training set.
        """
        for branch in get_method(runner, 'ActionletOverlapHook').branches().values():
            if not isinstance(branch, ActCLR):
                raise ConfigError(f'ActionletOverlapHook: {type(branch).__name__} finds no actionlets, expected ActCLR'
                                  '; take the hook out of the config')
        dataset = _synthetic_dataset(runner.train_dataloader.dataset)
        positions = np.unique(np.linspace(0, len(dataset) - 1, self.num).round().astype(int))
        self._batch = dataset.__getitems__(positions)
        found = self._actionlets(runner)
        persons, frames = self._batch['inputs'].shape[1:3]
        cells = next(iter(found.values())).shape[2]
        self._region = motion_region(dataset.archive, dataset.index[positions], frames, cells, persons)
        if runner.iter == 0:
            self._report(runner, found, 0)

    def after_train_epoch(self, runner: Runner) -> None:
        """Measure, every ``interval`` epochs."""
        if self.every_n_epochs(runner, self.interval):
            self._report(runner, self._actionlets(runner), runner.epoch + 1)

    def _actionlets(self, runner: Runner) -> dict[str, Tensor]:
        """Raw actionlets (N, M, T', V) by stream."""
        branches = get_method(runner, 'ActionletOverlapHook').branches()
        device = next(runner.model.parameters()).device
        joints, mask = self._batch['inputs'].to(device), self._batch['mask'].to(device)
        return {stream: branch.actionlet(joints, mask).cpu() for stream, branch in branches.items()}

    def _report(self, runner: Runner, found: dict[str, Tensor], epoch: int) -> None:
        scalars, lines = dict[str, float](), []
        for stream, actionlet in found.items():
            scores = overlap(actionlet, self._region)
            prefix = f'{stream}.' if len(found) > 1 else ''
            scalars |= {f'{prefix}actionlet/{name}': value for name, value in scores.items()}
            lines.append('{}IoU {overlap_iou:.3f} (chance {overlap_iou_chance:.3f}), on motion {on_motion:.3f} '
                         '(chance {on_motion_chance:.3f})'.format(prefix and f'{stream} ', **scores))
        runner.logger.info(f"actionlet overlap, epoch {epoch}: {'; '.join(lines)}")
        runner.message_hub.update_scalars(scalars)
        # a line of its own: the logger would repeat the numbers until the next measurement
        runner.visualizer.add_scalars({**scalars, 'epoch': epoch}, step=runner.iter)


def _synthetic_dataset(dataset: object) -> SkeletonDataset:
    """The training set, if its sequences are those of an archive, joint by joint.

    Raises:
        ConfigError: If they are not.
    """
    if not isinstance(dataset, SkeletonDataset):
        raise ConfigError(f'ActionletOverlapHook: the training set is a {type(dataset).__name__}, expected a '
                          'SkeletonDataset of the built-in synthetic set; take the hook out of the config')
    if dataset.metainfo['layout'].joints != dataset.archive.layout.joints:
        raise ConfigError(f'ActionletOverlapHook: {dataset.archive.path} is converted to other joints (remap), so what '
                          'moves in it is unknown; set remap=False or take the hook out of the config')
    return dataset
