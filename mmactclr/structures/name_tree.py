"""Which joint hangs on which, where the names tell."""
from collections.abc import Sequence

from mmactclr.errors import ConfigError

from .joint_names import find_roles, joint_roles

# Midline from the pelvis to the crown; neighbours that a layout has are joined.
_MIDLINE = ('pelvis', 'lower_back', 'spine', 'chest', 'spine_shoulder', 'neck', 'upper_neck', 'head', 'head_tip')
_UPPER = ('spine_shoulder', 'neck', 'chest', 'upper_neck', 'spine', 'head', 'nose')
_LOWER = ('pelvis', 'lower_back', 'spine', 'chest', 'spine_shoulder', 'neck')
_ARM = ('wrist', 'radius', 'elbow', 'shoulder')
_LEG = ('ankle', 'knee', 'hip')
# What a joint hangs on, nearest first: on its own side, then on the midline.
_PARENTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    'collar': ((), ('chest', *_UPPER)), 'shoulder': (('collar',), _UPPER), 'elbow': (('shoulder',), ()),
    'radius': (('elbow', 'shoulder'), ()), 'wrist': (_ARM[1:], ()), 'hand': (_ARM, ()), 'thumb': (('hand', *_ARM), ()),
    'index': (('hand', *_ARM), ()), 'pinky': (('hand', *_ARM), ()), 'hand_tip': (('hand', *_ARM), ()),
    'hip': ((), _LOWER), 'knee': (('hip',), ()), 'ankle': (_LEG[1:], ()), 'heel': (_LEG, ()), 'foot': (_LEG, ()),
    'toe': (('foot', *_LEG), ()), 'small_toe': (('foot', 'toe', *_LEG), ()),
    'eye': ((), ('nose', 'head', 'head_tip', 'upper_neck', 'neck')),
    'ear': (('eye',), ('nose', 'head', 'head_tip', 'upper_neck', 'neck'))}
_NOSE = ('head', 'upper_neck', 'neck', 'spine_shoulder', 'chest')


def edges_from_names(joints: Sequence[str]) -> list[tuple[int, int]]:
    """The tree of a body with these joints, as pairs of positions.

    Args:
        joints: V joint names.

    Returns:
        V - 1 edges.

    Raises:
        ConfigError: A name does not say what it hangs on; the message lists such names.

    Example:
        >>> edges_from_names(['neck', 'left_shoulder', 'left_elbow', 'left_hand'])
        [(1, 0), (2, 1), (3, 2)]
    """
    first, roles = find_roles(joints), joint_roles(joints)
    trunk = [first[None, role] for role in _MIDLINE if (None, role) in first]
    above = dict(zip(trunk[1:], trunk, strict=False))
    edges, unknown = [], []
    for joint, (side, role) in enumerate(roles):
        parent = above.get(joint)
        if parent is None and first[side, role] == joint and joint not in trunk:
            parent = _parent(side, role, first)
        if parent is not None:
            edges.append((joint, parent))
        elif not (trunk and joint == trunk[0]):
            unknown.append(joints[joint])
    if unknown:
        raise ConfigError(f'the names do not tell what {", ".join(unknown)} {"hangs" if len(unknown) == 1 else "hang"} '
                          'on: say which joints are connected')
    return edges


def _parent(side: str | None, role: str, first: dict[tuple[str | None, str], int]) -> int | None:
    if side is None:
        candidates: list[tuple[str | None, str]] = [(None, name) for name in _NOSE] if role == 'nose' else []
    else:
        own, midline = _PARENTS.get(role, ((), ()))
        candidates = [*((side, name) for name in own), *((None, name) for name in midline)]
    return next((first[candidate] for candidate in candidates if candidate in first), None)
