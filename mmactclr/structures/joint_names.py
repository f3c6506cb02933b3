"""What a joint's name says: its side and its anatomical role.

``LeftShoulder``, ``l_upper_arm``, ``UpperArm_L`` and ``thorax_@_lclavicle`` are one joint in four
spellings. Motion-capture files name a joint after the bone that *starts* there (``UpperArm_L`` is
the shoulder), ASF/AMC files after the bone that *ends* there (``lhumerus`` is the elbow).
"""
import re
from collections.abc import Sequence

Role = tuple[str | None, str]  # (side, role); side is 'left', 'right' or None

_SIDES = {'left': 'left', 'l': 'left', 'right': 'right', 'r': 'right'}
_FILLERS = {'joint', 'of', 'the', 'at'}
_SPELLINGS = {'centre': 'center', 'middle': 'mid', 'upperarm': 'upper_arm', 'lowerarm': 'lower_arm',
              'forearm': 'lower_arm', 'fore_arm': 'lower_arm', 'upleg': 'upper_leg',
              'up_leg': 'upper_leg', 'upperleg': 'upper_leg', 'lowerleg': 'lower_leg',
              'toes': 'toe', 'fingers': 'finger', 'hipjoint': 'hip'}

#: Words for joints on the midline and for joints that come in pairs, role -> synonyms.
_MIDLINE = {
    'pelvis': 'hip hips root waist hip_center mid_hip spine_base base_spine',
    'lower_back': 'lowerback spine1',
    'spine': 'spine_mid mid_spine spine2 upper_back upperback torso',
    'chest': 'spine3 spine_chest',
    'spine_shoulder': 'shoulder_center spine_at_shoulder mid_shoulder thorax',
    'neck': 'lower_neck lowerneck neck_base',
    'upper_neck': 'upperneck',
    'head': '',
    'head_tip': 'head_top',
    'nose': '',
}
_PAIRED = {
    'collar': '',
    'shoulder': 'upper_arm arm',
    'elbow': 'lower_arm humerus',
    'radius': '',
    'wrist': '',
    'hand': '',
    'hand_tip': 'tip_hand finger',
    'index': '',
    'pinky': '',
    'thumb': '',
    'hip': 'upper_leg thigh',
    'knee': 'lower_leg leg calf shin femur',
    'ankle': 'tibia',
    'heel': '',
    'foot': '',
    'toe': 'toe_base big_toe foot_index',
    'small_toe': '',
    'eye': '',
    'ear': '',
}

#: What may stand for a role that a layout lacks, best first.
SUBSTITUTES = {
    'spine_shoulder': ('neck', 'chest'),
    'chest': ('spine_shoulder', 'neck'),
    'neck': ('spine_shoulder',),
    'spine': ('chest', 'lower_back'),
    'lower_back': ('spine',),
    'head': ('nose', 'head_tip'),
    'nose': ('head',),
    'hand': ('index', 'hand_tip'),
    'hand_tip': ('index',),
    'index': ('hand_tip', 'hand'),
    'pinky': ('hand',),
    'foot': ('toe',),
    'toe': ('foot',),
}

#: Between which pairs a joint of the midline lies that has no name in a layout.
MIDPOINTS = {
    'pelvis': ('hips',),
    'lower_back': ('hips',),
    'spine': ('shoulders', 'hips'),
    'chest': ('shoulders',),
    'spine_shoulder': ('shoulders',),
    'neck': ('shoulders',),
}


def _synonyms(table: dict[str, str]) -> dict[str, str]:
    return {word: role for role, words in table.items() for word in (role, *words.split())}


_MIDLINE_ROLE, _PAIRED_ROLE = _synonyms(_MIDLINE), _synonyms(_PAIRED)
_WORDS = {*_MIDLINE_ROLE, *_PAIRED_ROLE, *_SPELLINGS, 'clavicle'}


def split_name(name: str) -> Role:
    """Split a joint name into its side and its other words, in one spelling.

    Example:
        >>> split_name('LeftUpLeg'), split_name('thorax_@_lclavicle'), split_name('Hips')
        (('left', 'upper_leg'), ('left', 'clavicle'), (None, 'hips'))
    """
    name = name.split('_@_')[-1]
    name = re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', name).lower()
    side, words = None, []
    for word in re.split(r'[^a-z0-9]+', name):
        if word in _SIDES:
            side = _SIDES[word]
        elif word not in _WORDS and word[:1] in _SIDES and word[1:] in _WORDS:
            side, word = _SIDES[word[0]], word[1:]
            words.append(word)
        elif word and word not in _FILLERS:
            words.append(word)
    words = [_SPELLINGS.get(word, word) for word in words]
    core = '_'.join(words)
    return side, _SPELLINGS.get(core, core)


def mirrored_names(joints: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Pairs (left, right) of joints whose names differ in nothing but the side."""
    split = {split_name(name): joint for joint, name in enumerate(joints)}
    return tuple((joint, split['right', core]) for (side, core), joint in split.items()
                 if side == 'left' and ('right', core) in split)


def _role(side: str | None, core: str, cores: set[str]) -> str:
    """Role of a joint, given the words of all joints on its side."""
    if side is None:
        return _MIDLINE_ROLE.get(core, core)
    if core == 'shoulder' and cores & {'upper_arm', 'arm'}:
        return 'collar'
    if core == 'clavicle':
        return 'collar' if cores & {'shoulder', 'upper_arm', 'arm'} else 'shoulder'
    if core == 'hand' and 'wrist' not in cores:
        return 'wrist'
    if core == 'foot' and not cores & {'ankle', 'tibia'}:
        return 'ankle'
    return _PAIRED_ROLE.get(core, core)


def joint_roles(joints: Sequence[str]) -> tuple[Role, ...]:
    """Side and anatomical role of every joint; a word without synonyms is its own role."""
    split = [split_name(name) for name in joints]
    cores = {side: {core for own, core in split if own == side} for side, _ in split}
    return tuple((side, _role(side, core, cores[side])) for side, core in split)


def find_roles(joints: Sequence[str]) -> dict[Role, int]:
    """The first joint of every (side, role) that occurs."""
    found: dict[Role, int] = {}
    for joint, role in enumerate(joint_roles(joints)):
        found.setdefault(role, joint)
    return found
