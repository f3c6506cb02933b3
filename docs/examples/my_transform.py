"""A transform of one's own: bodies become larger or smaller."""
from mmactclr.registry import TRANSFORMS
from mmactclr.transforms import SkeletonTransform


@TRANSFORMS.register_module()
class RandomSize(SkeletonTransform):
    """Multiply all coordinates of a sample by one number from U(1 - amount, 1 + amount)."""

    def __init__(self, amount: float = 0.1) -> None:
        self.amount = amount

    def apply(self, keypoint, results):
        size = self.random(results).uniform(low=1 - self.amount, high=1 + self.amount)
        return keypoint * size.to(keypoint)[:, None, None, None, None]
