"""What a trained model sees in the sequences of a data set."""
import numpy as np
from torch import nn
from torch.utils.data import Dataset

from mmactclr.errors import ConfigError
from mmactclr.visualization import ActionletExample


def find_actionlets(model: nn.Module, dataset: Dataset, num: int = 6) -> list[ActionletExample]:
    """Actionlets of one sequence of each of ``num`` classes, spread evenly over those that occur.

    Each person that is there has an entry of its own. Of several streams the first speaks.

    Args:
        model: A method with actionlets, from :func:`~mmactclr.apis.init_model`.
        dataset: A :class:`~mmactclr.datasets.SkeletonDataset`.
        num: Classes to show; all of them where there are fewer.

    Raises:
        ConfigError: If the method has no actionlets, its static anchor was never computed, or
            ``num`` is not positive.
    """
    branch = next(iter(model.branches().values()))
    if not hasattr(branch, 'actionlet'):
        raise ConfigError(f'{type(branch).__name__} has no actionlets; use a config and a '
                          'checkpoint of ActCLR')
    if num < 1:
        raise ConfigError(f'the number of sequences to show is {num}, expected 1 or more')
    labels, first = np.unique(dataset.labels, return_index=True)
    chosen = np.unique(np.linspace(0, len(labels) - 1, num).round().astype(int))
    batch = dataset.__getitems__(first[chosen].tolist())
    device = branch.anchor.device
    found = branch.actionlet(batch['inputs'].to(device), batch['mask'].to(device)).cpu().numpy()
    joints = batch['inputs'].numpy()
    examples = []
    for i, label in enumerate(labels[chosen]):
        persons = batch['mask'][i].nonzero()[:, 0].tolist()
        for person in persons:
            title = dataset.metainfo['classes'][label]
            title += f', person {person + 1}' if len(persons) > 1 else ''
            examples.append(ActionletExample(title, joints[i, person], found[i, person]))
    return examples
