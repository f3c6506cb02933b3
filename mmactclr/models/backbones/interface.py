"""What every encoder takes, gives and says of itself, and how a method makes sure of it before it trains."""
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmactclr.errors import ConfigError
from mmactclr.structures import Layout, get_layout
from mmactclr.utils import eval_mode

# long enough for the strides of every recipe to show
_PROBE_FRAMES = 32
# lengths that tell ceil(T / stride) from other roundings, the shortest among them
_UNEVEN_FRAMES = (33, 1)


class SkeletonBackbone(BaseModule):
    """An encoder of units that follow each other: (N', C, T, V) in, a dense map (N', C', T', V) out.

    Subclasses set ``units`` and map what :meth:`normalise` gives. An encoder need not be one of these: any module with
    such a ``forward`` serves.

    Args:
        layout: Name or definition of the joint layout.
        in_channels: Coordinates per joint.
        channels: Output channels of every unit.
        strided_units: Units, counted from one, that halve the frame rate.

    Attributes:
        layout: Joint layout of the input.
        in_channels: Coordinates per joint.
        out_channels: Channels of the feature map.
        temporal_stride: Frames per cell of the feature map; T' is ceil(T / temporal_stride).

    Raises:
        ConfigError: If there is no unit, a width is no number from 1 up, or a strided unit does not exist.
    """

    def __init__(self, layout: str | Mapping[str, Any] | Layout, in_channels: int, channels: Sequence[int],
                 strided_units: Sequence[int], init_cfg: Mapping[str, Any] | None = None) -> None:
        super().__init__(init_cfg)
        self.layout = get_layout(layout)
        name = type(self).__name__
        check_widths(name, in_channels, channels)
        if not _are_numbers(strided_units):
            raise ConfigError(f'{name}: strided_units is {strided_units!r}, expected a list of units, such as [2]')
        outside = [unit for unit in strided_units if not 1 <= unit <= len(channels)]
        if outside:
            raise ConfigError(f'{name}: strided_units {outside} do not exist; units are numbered from '
                              f'1 to {len(channels)} (one per entry of channels)')
        self.in_channels, self.out_channels = in_channels, channels[-1]
        self.temporal_stride = 2 ** len(set(strided_units))
        self.data_bn = nn.BatchNorm1d(self.layout.num_joints * in_channels)

    def check_input(self, x: Tensor) -> None:
        """Refuse (N', C, T, V) joints that are not those of the layout.

        Raises:
            ConfigError: If joints or coordinates do not match.
        """
        if (x.shape[1], x.shape[3]) != (self.in_channels, self.layout.num_joints):
            raise ConfigError(
                f'{type(self).__name__}: input has {x.shape[3]} joints of {x.shape[1]} coordinates, the encoder was '
                f'built for layout {self.layout.name!r} with {self.layout.num_joints} joints of {self.in_channels}; '
                "set the backbone's layout and in_channels to those of the data")

    def normalise(self, x: Tensor) -> Tensor:
        """Batch norm of every coordinate of every joint of (N', C, T, V), after :meth:`check_input`."""
        self.check_input(x)
        n, c, t, v = x.shape
        x = self.data_bn(x.permute(0, 3, 1, 2).reshape(n, v * c, t))
        return x.view(n, v, c, t).permute(0, 2, 3, 1)


def check_widths(name: str, in_channels: int, channels: Sequence[int], multiple_of: int = 1, why: str = '') -> None:
    """Refuse widths of an encoder that cannot be.

    Args:
        name: The encoder, named in messages.
        in_channels: Coordinates per joint.
        channels: Width of every unit.
        multiple_of: What every width has to be a multiple of.
        why: The reason for that, for the message.

    Raises:
        ConfigError: If ``in_channels`` or a width is no whole number from 1 up, there is no width, or one is uneven.
    """
    if not _are_numbers([in_channels]) or in_channels < 1:
        raise ConfigError(f'{name}: in_channels is {in_channels!r}, expected the coordinates of a joint, 1 or more')
    if not _are_numbers(channels) or not channels or min(channels) < 1:
        raise ConfigError(f'{name}: channels is {channels!r}, expected the width of every unit, 1 or more: a list such '
                          'as [64, 128]')
    uneven = [width for width in channels if multiple_of < 1 or width % multiple_of]
    if uneven:
        raise ConfigError(f'{name}: channels has {uneven}, expected {why}')


def _are_numbers(values: Any) -> bool:
    """Whether something is a list or tuple of whole numbers."""
    return isinstance(values, Sequence) and all(isinstance(each, int) and not isinstance(each, bool) for each in values)


def strides_of(channels: Sequence[int], strided_units: Sequence[int]) -> list[int]:
    """Stride over time of every unit, 1 or 2."""
    return [2 if number in strided_units else 1 for number in range(1, len(channels) + 1)]


def feature_width(backbone: nn.Module, layout: Layout, who: str) -> int:
    """Channels of the feature map: what the encoder says (``out_channels``), or else what comes out of it.

    Args:
        backbone: Encoder.
        layout: Layout of the V joints that it will see.
        who: What the encoder is for, named in messages.

    Raises:
        ConfigError: If it does not say, and does not map (N', C, T, V) to four dimensions either.
    """
    declared = getattr(backbone, 'out_channels', None)
    return declared if declared is not None else _encode_nothing(backbone, layout, who).shape[1]


def check_feature_map(backbone: nn.Module, layout: Layout, who: str, keeps_joints: bool = False,
                      whole_cells: bool = False) -> None:
    """Make sure that an encoder gives the map that it declares, before a run depends on it.

    A sequence of zeros goes through it in eval mode.

    Args:
        backbone: Encoder.
        layout: Layout of the V joints that it will see.
        who: The method, named in messages.
        keeps_joints: Whether the map must have a column for each joint, in the order of the layout.
        whole_cells: Whether the method needs ``temporal_stride`` and, of any length T from 1 up, a map of
            ceil(T / temporal_stride) cells.

    Raises:
        ConfigError: If it cannot encode such joints, or ``out_channels``, ``temporal_stride`` or the joints of the map
            are others than they should be.
    """
    _, width, cells, joints = _encode_nothing(backbone, layout, who).shape
    name = type(backbone).__name__
    declared, stride = getattr(backbone, 'out_channels', width), getattr(backbone, 'temporal_stride', None)
    if declared != width:
        raise ConfigError(f'{who}: {name}.out_channels is {declared}, its feature map has {width} channels; correct '
                          'the attribute')
    if keeps_joints and joints != layout.num_joints:
        raise ConfigError(f'{who}: the feature map of {name} has {joints} joints, layout {layout.name!r} has '
                          f'{layout.num_joints}; the method tells joints apart on the map, so the backbone must keep '
                          "them: (N, C, T, V) -> (N, C', T', V)")
    if stride is None:
        if whole_cells:
            raise ConfigError(f'{who}: {name} has no temporal_stride, the frames of a cell of its feature map, which '
                              'blocks are measured in; give it that attribute')
        return
    if not isinstance(stride, int) or stride < 1:
        raise ConfigError(f'{who}: {name}.temporal_stride is {stride!r}, expected the frames of a cell, 1 or more')
    if cells != -(-_PROBE_FRAMES // stride):
        raise ConfigError(f'{who}: {name}.temporal_stride is {stride}, but {_PROBE_FRAMES} frames become {cells} cells '
                          f'and not {-(-_PROBE_FRAMES // stride)}; correct the attribute')
    for frames in _UNEVEN_FRAMES if whole_cells else ():
        cells = _encode_nothing(backbone, layout, who, frames).shape[2]
        if cells != -(-frames // stride):
            raise ConfigError(f'{who}: {name} makes {cells} cells of {frames} frames, expected '
                              f'{-(-frames // stride)}: the method pastes cells, so the last one counts though it is '
                              'not full, ceil(T / temporal_stride); pad the time, as with ceil_mode=True in a pooling')


@torch.no_grad()
def _encode_nothing(backbone: nn.Module, layout: Layout, who: str, frames: int = _PROBE_FRAMES) -> Tensor:
    """Feature map of two persons at rest.

    Raises:
        ConfigError: If there is none.
    """
    name = type(backbone).__name__
    shape = (2, getattr(backbone, 'in_channels', 3), frames, layout.num_joints)
    like = next(backbone.parameters(), torch.zeros(()))
    try:
        with eval_mode(backbone):
            found = backbone(torch.zeros(shape, device=like.device))
    except ConfigError:
        raise
    except Exception as error:  # an encoder of the user's may raise anything
        line = str(error).strip().partition('\n')[0]
        raise ConfigError(f'{who}: backbone {name} cannot encode {shape} (N, C, T, V), joints of layout '
                          f'{layout.name!r} ({type(error).__name__}: {line[:200]}); a backbone takes such maps of any '
                          'length T') from error
    if not torch.is_tensor(found) or found.ndim != 4 or len(found) != 2:
        raise ConfigError(f"{who}: backbone {name} makes {tuple(getattr(found, 'shape', ())) or type(found).__name__} "
                          f"of {shape} (N, C, T, V), expected a feature map (N, C', T', V)")
    return found
