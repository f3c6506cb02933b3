"""From the joints of one layout to those of another, by name."""
from collections.abc import Mapping
from typing import Any

from mmactclr.errors import ConfigError

from .joint_names import MIDPOINTS, SUBSTITUTES, find_roles, joint_roles
from .layouts import CENTRE_ROLES, Layout, get_layout


def remap_joints(src: str | Layout | Mapping[str, Any],
                 dst: str | Layout | Mapping[str, Any]) -> tuple[int, ...]:
    """For every joint of ``dst`` the joint of ``src`` that stands for it, by name.

    Names are compared by their anatomical role (``joint_names.py`` lists the synonyms and, per
    role, the substitutes). Where ``src`` has neither, the nearest ancestor in the tree of ``dst``
    lends its joint: hand tips of ``ntu25`` come from the hands of ``kinect20_utdmhad``. The
    centre of ``src`` stands for the joint between the shoulders when no name does; the centre of
    ``dst``, if without a match, takes that of the nearest joint on the midline.

    Args:
        src: Layout of the data at hand.
        dst: Layout the data is wanted in.

    Returns:
        V_dst joint indices of ``src``: ``keypoint[..., remap_joints(src, dst), :]`` converts.
        Mirror images map to mirror images.

    Raises:
        ConfigError: If the two layouts have no joint in common.
    """
    return _match(get_layout(src), get_layout(dst))[0]


def stand_ins(src: str | Layout | Mapping[str, Any],
              dst: str | Layout | Mapping[str, Any]) -> tuple[tuple[int, ...], ...]:
    """For every joint of ``dst`` the joints of ``src`` whose mean stands for it.

    One joint by name, as :func:`remap_joints` finds it; where a joint of the midline has no name in ``src`` at all,
    the middle of the hips, of the shoulders or of both, which pose estimators have.

    Raises:
        ConfigError: If the two layouts have no joint in common.
    """
    src, dst = get_layout(src), get_layout(dst)
    joints, _, named = _match(src, dst)
    places = {'shoulders': src.shoulders, 'hips': src.hips}
    found = []
    for joint, (side, role) in enumerate(joint_roles(dst.joints)):
        between = () if joint in named or side is not None else MIDPOINTS.get(role, ())
        found.append(tuple(end for place in between for end in places[place]) or (joints[joint],))
    return tuple(found)


def filled_joints(src: str | Layout | Mapping[str, Any],
                  dst: str | Layout | Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Joints of ``dst`` that ``src`` lacks, by name, each with the joints of ``src`` whose mean stands in for it.

    Raises:
        ConfigError: If the two layouts have no joint in common.
    """
    src, dst = get_layout(src), get_layout(dst)
    own = _match(src, dst)[1]
    return {dst.joints[joint]: tuple(src.joints[i] for i in sources)
            for joint, sources in enumerate(stand_ins(src, dst)) if joint not in own}


def _match(src: Layout, dst: Layout) -> tuple[tuple[int, ...], set[int], set[int]]:
    """Joint of ``src`` for every joint of ``dst``; those of ``dst`` that have it by their own role, and by any name."""
    if src.joints == dst.joints:
        every = set(range(src.num_joints))
        return tuple(range(src.num_joints)), every, every
    roles = find_roles(src.joints)
    if joint_roles(src.joints)[src.centre] in [(None, role) for role in CENTRE_ROLES]:
        roles.setdefault((None, 'spine_shoulder'), src.centre)
    found: dict[int, int] = {}
    own: set[int] = set()
    for joint, (side, role) in enumerate(joint_roles(dst.joints)):
        for candidate in (role, *SUBSTITUTES.get(role, ())):
            if (side, candidate) in roles:
                found[joint] = roles[side, candidate]
                own |= {joint} if candidate == role else set()
                break
    named = set(found)
    if dst.centre not in found:
        midline = [joint for joint in dst.order if joint in found
                   and dst.flip_index[joint] == joint]
        nearest = midline or [joint for joint in dst.order if joint in found]
        if not nearest:
            raise ConfigError(f"layouts '{src.name}' and '{dst.name}' have no joint in common: "
                              f'{", ".join(src.joints)} / {", ".join(dst.joints)}')
        found[dst.centre] = found[nearest[0]]
    for joint in dst.order:
        found.setdefault(joint, found.get(dst.parents[joint], -1))
    return tuple(found[joint] for joint in range(dst.num_joints)), own, named
