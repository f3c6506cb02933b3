"""The one place that knows joints, bones, body parts and left/right pairs.

Every transform, graph, stream and drawing reads them from a :class:`Layout`. Built-in layouts are
tables (``builtin_layouts.py``); others are made from joint names and edges with
:meth:`Layout.from_edges` and made known with :func:`register_layout`.
"""
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from operator import index
from typing import Any, SupportsIndex

from mmactclr.errors import ConfigError, did_you_mean
from mmactclr.plugins import load_plugins

from .builtin_layouts import BUILTIN
from .joint_names import find_roles, mirrored_names

#: Body parts in the order every layout lists them; sides are the person's own.
PART_NAMES = ('trunk', 'right_arm', 'left_arm', 'right_leg', 'left_leg')

#: Roles that may serve as centre, best first: the point between the shoulders, as in NTU RGB+D.
#: Measured distance from the middle of the shoulders, in shoulder widths, for neck and chest: 0.20
#: and 0.64 in Bandai-Namco's motion capture, 0.12 and 0.11 in UI-PRMD.
CENTRE_ROLES = ('spine_shoulder', 'neck', 'chest')

Pair = tuple[int, int]
JointKey = str | int


@dataclass(frozen=True)
class Layout:
    """Joints of one recording set-up and how they hang together; joint indices count from 0.

    Attributes:
        name: Name under which the layout is registered.
        joints: Names of the V joints, in the order of the data.
        bones: (child, parent) of every joint except the centre: a tree rooted at ``centre``.
        centre: Joint between the shoulders, or the nearest to that place on the midline.
        parts: Joints of trunk, right_arm, left_arm, right_leg and left_leg (the person's own
            sides): an arm is everything from the shoulder outwards, a leg everything from the hip.
        flip_pairs: (left, right) joints that change places in a mirror.
        shoulders: (left, right) shoulder.
        hips: (left, right) hip.
        origin: Joints whose mean is subtracted in preparation; the centre unless given.

    Raises:
        ConfigError: If the bones are no tree, parts do not split the joints, or pairs disagree.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[Pair, ...]
    centre: int
    parts: Mapping[str, tuple[int, ...]] = field(hash=False)
    flip_pairs: tuple[Pair, ...]
    shoulders: Pair
    hips: Pair
    origin: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        def fix(key: str, value: Any) -> None:
            object.__setattr__(self, key, value)

        _check_names(self.name, self.joints)
        fix('joints', tuple(str(joint) for joint in self.joints))
        fix('centre', _index(self, 'centre', self.centre))
        for key in ('bones', 'flip_pairs'):
            fix(key, tuple(_pair(self, key, pair) for pair in getattr(self, key)))
        for key in ('shoulders', 'hips'):
            fix(key, _pair(self, key, getattr(self, key)))
        fix('origin', tuple(_index(self, 'origin', j) for j in self.origin) or (self.centre,))
        parts = {str(part): tuple(_index(self, f'parts.{part}', j) for j in members)
                 for part, members in self.parts.items()}
        # a dumped config comes back with its keys sorted
        fix('parts', {part: parts[part] for part in (*PART_NAMES, *parts) if part in parts})
        fix('bones', tuple(sorted(self.bones)))
        if _tree(self.name, self.joints, self.bones, self.centre) != self.bones:
            raise ConfigError(f"layout '{self.name}': bones are (child, parent) pairs that point "
                              f"towards the centre '{self.joints[self.centre]}'; found a bone "
                              'the other way round: swap it')
        self._check_parts()
        self._check_sides()

    def _check_parts(self) -> None:
        if tuple(self.parts) != PART_NAMES:
            raise ConfigError(f"layout '{self.name}': parts are {', '.join(PART_NAMES)}; "
                              f'found {", ".join(self.parts) or "none"}')
        members = [joint for part in self.parts.values() for joint in part]
        wrong = [self.joints[j] for j in range(self.num_joints) if members.count(j) != 1]
        if wrong:
            raise ConfigError(f"layout '{self.name}': every joint belongs to exactly one part; "
                              f'{", ".join(wrong)} to none or several')

    def _check_sides(self) -> None:
        paired = [joint for pair in self.flip_pairs for joint in pair]
        if len(set(paired)) != len(paired):
            raise ConfigError(f"layout '{self.name}': a joint appears twice in flip_pairs")
        for key in ('shoulders', 'hips'):
            if getattr(self, key) not in self.flip_pairs:
                left, right = (self.joints[j] for j in getattr(self, key))
                raise ConfigError(f"layout '{self.name}': {key} ({left}, {right}) are not among "
                                  'flip_pairs as (left, right); add the pair or exchange the sides')

    @property
    def num_joints(self) -> int:
        """Number of joints V."""
        return len(self.joints)

    @property
    def part_names(self) -> tuple[str, ...]:
        """Names of the body parts, in order."""
        return tuple(self.parts)

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """Parent of every joint, V entries; the centre is its own."""
        parents = list(range(self.num_joints))
        for child, parent in self.bones:
            parents[child] = parent
        return tuple(parents)

    @cached_property
    def flip_index(self) -> tuple[int, ...]:
        """For every joint the one that takes its place in a mirror, V entries; an involution."""
        flipped = list(range(self.num_joints))
        for left, right in self.flip_pairs:
            flipped[left], flipped[right] = right, left
        return tuple(flipped)

    @cached_property
    def depth(self) -> tuple[int, ...]:
        """Number of bones between every joint and the centre, V entries."""
        depth = [0] * self.num_joints
        for joint in self.order[1:]:
            depth[joint] = depth[self.parents[joint]] + 1
        return tuple(depth)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """All joints, centre first and every parent before its children."""
        children: dict[int, list[int]] = {joint: [] for joint in range(self.num_joints)}
        for child, parent in self.bones:
            children[parent].append(child)
        order, queue = [], deque([self.centre])
        while queue:
            order.append(queue.popleft())
            queue.extend(children[order[-1]])
        return tuple(order)

    @cached_property
    def part_of(self) -> tuple[int, ...]:
        """Position in ``part_names`` of the part each joint belongs to, V entries."""
        part_of = {joint: i for i, part in enumerate(self.parts.values()) for joint in part}
        return tuple(part_of[joint] for joint in range(self.num_joints))

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, strings and numbers, ready for JSON; :meth:`from_dict` reads them back."""
        return _listed(asdict(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> 'Layout':
        """Build a layout from :meth:`to_dict`, or from the arguments of :meth:`from_edges`.

        Raises:
            ConfigError: If a field is missing or unknown, or the layout is invalid.
        """
        by_edges = 'edges' in values
        known = {'name', 'joints', 'centre', 'shoulders', 'hips', 'flip_pairs', 'origin'}
        known |= {'edges'} if by_edges else {'bones', 'parts'}
        needed = {'name', 'joints', 'edges'} if by_edges else known - {'origin'}
        wrong = [f"'{key}' is missing" for key in sorted(needed - set(values))]
        wrong += [f"'{key}' is unknown" for key in sorted(set(values) - known)]
        if wrong:
            raise ConfigError(f"layout '{values.get('name', '?')}': {', '.join(wrong)}; give "
                              'name, joints and edges, or everything that Layout.to_dict() writes')
        return cls.from_edges(**values) if by_edges else cls(**values)

    @classmethod
    def from_edges(cls,
                   name: str,
                   joints: Sequence[str],
                   edges: Sequence[Sequence[int]],
                   centre: JointKey | None = None,
                   shoulders: Sequence[JointKey] | None = None,
                   hips: Sequence[JointKey] | None = None,
                   flip_pairs: Sequence[Sequence[JointKey]] | None = None,
                   origin: Sequence[JointKey] = ()) -> 'Layout':
        """Build a layout from joint names and undirected edges, deriving the rest from the names.

        Joints may be given by name or by index.

        Args:
            name: Name of the layout.
            joints: V joint names.
            edges: Pairs of joints (indices or names); V - 1 of them, forming a tree.
            centre: Joint between the shoulders.
            shoulders: (left, right) shoulder.
            hips: (left, right) hip.
            flip_pairs: (left, right) joints that change places in a mirror.
            origin: Joints whose mean is subtracted in preparation.

        Raises:
            ConfigError: If the edges are no tree, a joint is unknown, or something can neither be
                derived from the names nor was given; the message says which argument to pass.
        """
        joints = _check_names(name, joints)
        find = _Finder(name, joints)
        roles = find_roles(joints)
        if centre is None:
            found = [roles[None, role] for role in CENTRE_ROLES if (None, role) in roles]
            if not found:
                find.ask('centre', 'the joint between the shoulders')
            centre = found[0]
        sides = {}
        for key, role, given in (('shoulders', 'shoulder', shoulders), ('hips', 'hip', hips)):
            if given is None:
                if ('left', role) not in roles or ('right', role) not in roles:
                    find.ask(key, f'the (left, right) {role}')
                given = (roles['left', role], roles['right', role])
            sides[key] = find.pair(key, given)
        if flip_pairs is None:
            flip_pairs = mirrored_names(joints)
            if not {*sides.values()} <= {*flip_pairs}:
                find.ask('flip_pairs', 'all (left, right) pairs')
        centre = find('centre', centre)
        bones = _tree(name, joints, [find.pair('edges', edge) for edge in edges], centre)
        return cls(
            name=name, joints=joints, bones=bones, centre=centre,
            parts=_derive_parts(name, joints, bones, centre, **sides),
            flip_pairs=tuple(find.pair('flip_pairs', pair) for pair in flip_pairs),
            origin=tuple(find('origin', joint) for joint in origin), **sides)


class _Finder:
    """Turns joint names of a layout in the making into indices."""

    def __init__(self, name: str, joints: Sequence[str]) -> None:
        self.name, self.joints = name, joints

    def __call__(self, key: str, joint: JointKey) -> int:
        if isinstance(joint, str):
            if joint not in self.joints:
                raise ConfigError(f"layout '{self.name}': {key} names the joint '{joint}', which "
                                  f'is not one of {", ".join(self.joints)}')
            return self.joints.index(joint)
        return _index(self, key, joint)

    def pair(self, key: str, pair: Sequence[JointKey]) -> Pair:
        if isinstance(pair, str) or len(pair) != 2:
            raise ConfigError(f"layout '{self.name}': {key} holds pairs of joints, found {pair!r}")
        return self(key, pair[0]), self(key, pair[1])

    def ask(self, key: str, what: str) -> None:
        raise ConfigError(f"layout '{self.name}': {what} cannot be told from the joint names "
                          f'({", ".join(self.joints)}); pass {key}=, naming joints')


def _listed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, (tuple, list)) else value


def _check_names(name: str, joints: Sequence[str]) -> tuple[str, ...]:
    joints = tuple(str(joint) for joint in joints)
    twice = sorted({joint for joint in joints if joints.count(joint) > 1})
    if twice:
        raise ConfigError(f"layout '{name}': joint names must differ, found several called "
                          f'{", ".join(twice)}; rename them')
    return joints


def _index(layout: Any, key: str, joint: Any) -> int:
    if not isinstance(joint, SupportsIndex) or not 0 <= index(joint) < len(layout.joints):
        raise ConfigError(f"layout '{layout.name}': {key} holds {joint!r}; expected joint indices "
                          f'0 to {len(layout.joints) - 1}')
    return index(joint)


def _pair(layout: Any, key: str, pair: Sequence[Any]) -> Pair:
    if len(pair) != 2:
        raise ConfigError(f"layout '{layout.name}': {key} holds pairs of joints, found {pair!r}")
    return _index(layout, key, pair[0]), _index(layout, key, pair[1])


def _tree(name: str, joints: Sequence[str], edges: Sequence[Pair], centre: int) -> tuple[Pair, ...]:
    """Orient undirected edges as (child, parent) away from the centre, sorted by child."""
    neighbours: dict[int, list[int]] = {joint: [] for joint in range(len(joints))}
    for a, b in edges:
        neighbours[a].append(b)
        neighbours[b].append(a)
    parent, queue = {centre: centre}, deque([centre])
    while queue:
        joint = queue.popleft()
        for other in neighbours[joint]:
            if other == joint or other in parent and other != parent[joint] or \
                    neighbours[joint].count(other) > 1:
                raise ConfigError(f"layout '{name}': edges must form a tree, but "
                                  f"'{joints[joint]}' - '{joints[other]}' closes a cycle; leave "
                                  'out an edge (or a repetition of one)')
            if other not in parent:
                parent[other] = joint
                queue.append(other)
    lost = [joints[joint] for joint in range(len(joints)) if joint not in parent]
    if lost:
        raise ConfigError(f"layout '{name}': no edges lead from the centre '{joints[centre]}' to "
                          f'{", ".join(lost)}; connect them')
    return tuple(sorted((child, up) for child, up in parent.items() if child != centre))


def _derive_parts(name: str, joints: Sequence[str], bones: Sequence[Pair], centre: int,
                  shoulders: Pair, hips: Pair) -> dict[str, tuple[int, ...]]:
    """Arms from the shoulders outwards, legs from the hips (which may hang on the shoulders)."""
    if centre in (*shoulders, *hips):
        raise ConfigError(f"layout '{name}': the centre '{joints[centre]}' is a shoulder or hip; "
                          'pass centre=, naming a joint of the trunk')
    parent = dict(bones)
    starts = {hips[1]: 'right_leg', hips[0]: 'left_leg', shoulders[1]: 'right_arm',
              shoulders[0]: 'left_arm'}
    parts: dict[str, list[int]] = {part: [] for part in PART_NAMES}
    for joint in range(len(joints)):
        step = joint
        while step not in starts and step != centre:
            step = parent[step]
        parts[starts.get(step, 'trunk')].append(joint)
    return {part: tuple(members) for part, members in parts.items()}


_LAYOUTS: dict[str, Layout] = {}


def register_layout(layout: Layout) -> Layout:
    """Make a layout known by its name and return it.

    Raises:
        ConfigError: If another layout of that name exists.
    """
    if _LAYOUTS.setdefault(layout.name, layout) != layout:
        raise ConfigError(f"a different layout '{layout.name}' is registered already; choose "
                          'another name')
    return layout


def list_layouts() -> list[str]:
    """Names of all registered layouts, those of installed plugins among them, sorted."""
    load_plugins()
    return sorted(_LAYOUTS)


def get_layout(layout: 'str | Layout | Mapping[str, Any]') -> Layout:
    """Return a layout given by name, as a :class:`Layout`, or as a dict (see ``from_dict``).

    Raises:
        ConfigError: If no layout of that name is registered, or the dict does not describe one.
    """
    if isinstance(layout, Layout):
        return layout
    if isinstance(layout, Mapping):
        return Layout.from_dict(layout)
    if layout not in _LAYOUTS:
        load_plugins()
    if layout not in _LAYOUTS:
        raise ConfigError(f'layout {layout!r} is not known; {did_you_mean(str(layout), _LAYOUTS)}There are '
                          f'{", ".join(list_layouts())}. Register your own with mmactclr.structures.register_layout')
    return _LAYOUTS[layout]


for _values in BUILTIN:
    register_layout(Layout(**_values))
