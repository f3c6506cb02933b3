"""What a recogniser knows about one sequence."""
import torch
from mmengine.structures import BaseDataElement


class SkeletonDataSample(BaseDataElement):
    """Label and prediction of one sequence; anything else may be set as an attribute.

    Attributes:
        gt_label: Index of the true class, int64 tensor of shape (1,).
        pred_score: Score of every class, float tensor of shape (num_classes,).
        pred_label: Index of the best score, int64 tensor of shape (1,).

    Example:
        >>> sample = SkeletonDataSample(metainfo=dict(index=3)).set_gt_label(2)
        >>> sample.set_pred_score(torch.tensor([0.1, 0.2, 0.7])).pred_label
        tensor([2])
    """

    def set_gt_label(self, label: int) -> 'SkeletonDataSample':
        """Store the true class and return the sample."""
        self.gt_label = torch.tensor([int(label)])
        return self

    def set_pred_score(self, score: torch.Tensor) -> 'SkeletonDataSample':
        """Store class scores of shape (num_classes,) with their arg max, and return the sample.

        Raises:
            ValueError: If ``score`` is not one-dimensional.
        """
        if score.ndim != 1:
            raise ValueError(
                f'pred_score of one sample has shape (num_classes,), found {tuple(score.shape)}; '
                'take one row of the batch')
        self.pred_score = score
        self.pred_label = score.argmax(dim=0, keepdim=True)
        return self
