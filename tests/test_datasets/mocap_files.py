"""Motion capture files of random bodies, with kinematics of their own: scipy's rotations, joint by joint."""
import numpy as np
from scipy.spatial.transform import Rotation

# bone -> parent, of the skeletons of CMU and HDM05
BONES = dict(
    lhipjoint='root', lfemur='lhipjoint', ltibia='lfemur', lfoot='ltibia', ltoes='lfoot', rhipjoint='root',
    rfemur='rhipjoint', rtibia='rfemur', rfoot='rtibia', rtoes='rfoot', lowerback='root', upperback='lowerback',
    thorax='upperback', lowerneck='thorax', upperneck='lowerneck', head='upperneck', lclavicle='thorax',
    lhumerus='lclavicle', lradius='lhumerus', lwrist='lradius', lhand='lwrist', lfingers='lhand', lthumb='lwrist',
    rclavicle='thorax', rhumerus='rclavicle', rradius='rhumerus', rwrist='rradius', rhand='rwrist', rfingers='rhand',
    rthumb='rwrist')
DOFS = {'lhipjoint': '', 'rhipjoint': '', 'ltibia': 'rx', 'rtibia': 'rx', 'lfoot': 'rx rz', 'lradius': 'rx',
        'lwrist': 'ry', 'lclavicle': 'ry rz', 'lhumerus': 'rz ry rx'}


class Body:
    """A random skeleton and motion of it."""

    def __init__(self, seed: int = 0, frames: int = 5) -> None:
        rng = np.random.default_rng(seed)
        self.direction = {name: (lambda v: v / np.linalg.norm(v))(rng.normal(size=3)).round(6) for name in BONES}
        self.length = {name: round(rng.uniform(1, 8), 4) for name in BONES}
        self.axis = {name: rng.uniform(-90, 90, 3).round(3) for name in BONES}
        self.dofs = {name: DOFS.get(name, 'rx ry rz').split() for name in BONES}
        self.frames = frames
        self.root = np.column_stack([rng.normal(0, 10, (frames, 3)), rng.uniform(-180, 180, (frames, 3))]).round(4)
        self.angles = {name: rng.uniform(-90, 90, (frames, len(dofs))).round(4) for name, dofs in self.dofs.items()}

    def asf(self) -> bytes:
        lines = ['# made up', ':version 1.10', ':name made_up', ':units', '  mass 1.0', '  length 0.45', '  angle deg',
                 ':documentation', '   none at all', ':root', '   order TX TY TZ RX RY RZ', '   axis XYZ',
                 '   position 0 0 0', '   orientation 0 0 0', ':bonedata']
        for i, name in enumerate(BONES):
            lines += ['  begin', f'     id {i + 1}', f'     name {name}',
                      f'     direction {join(self.direction[name])}', f'     length {self.length[name]}',
                      f'     axis {join(self.axis[name])}  XYZ']
            if self.dofs[name]:
                lines += [f'    dof {" ".join(self.dofs[name])}', '    limits (-160.0 20.0)', '           (-70.0 70.0)']
            lines.append('  end')
        lines += [':hierarchy', '  begin']
        for parent in dict.fromkeys(BONES.values()):
            lines.append(f'    {parent} ' + ' '.join(name for name, above in BONES.items() if above == parent))
        return ('\r\n'.join([*lines, '  end']) + '\r\n').encode()

    def amc(self) -> bytes:
        lines = ['#!OML:ASF', ':FULLY-SPECIFIED', ':DEGREES']
        for t in range(self.frames):
            lines += [str(t + 1), f'root {join(self.root[t])}']
            lines += [f'{name} {join(self.angles[name][t])}' for name in BONES if self.dofs[name]]
        return '\n'.join(lines).encode()

    def positions(self, scale: float = 1.) -> np.ndarray:
        """(T, 31, 3), joint by joint."""
        found = np.zeros((self.frames, 1 + len(BONES), 3))
        for t in range(self.frames):
            turns = {'root': Rotation.from_euler('xyz', self.root[t, 3:], degrees=True)}
            places = {'root': self.root[t, :3]}
            for name, parent in BONES.items():
                own = Rotation.from_euler('xyz', self.axis[name], degrees=True)
                local = Rotation.identity()
                for dof, angle in zip(self.dofs[name], self.angles[name][t], strict=True):
                    local = Rotation.from_euler(dof[1], angle, degrees=True) * local
                turns[name] = turns[parent] * own * local * own.inv()
                places[name] = places[parent] + turns[name].apply(self.direction[name] * self.length[name])
            found[t] = list(places.values())
        return found * scale


def join(values) -> str:
    return ' '.join(repr(float(value)) for value in values)


BVH_JOINTS = [
    ('Hips', None), ('Spine', 'Hips'), ('Neck', 'Spine'), ('Head', 'Neck'), ('LeftShoulder', 'Spine'),
    ('LeftElbow', 'LeftShoulder'), ('LeftWrist', 'LeftElbow'), ('RightShoulder', 'Spine'),
    ('RightElbow', 'RightShoulder'), ('RightWrist', 'RightElbow'), ('LeftHip', 'Hips'), ('LeftKnee', 'LeftHip'),
    ('LeftAnkle', 'LeftKnee'), ('RightHip', 'Hips'), ('RightKnee', 'RightHip'), ('RightAnkle', 'RightKnee')]
ORDERS = ['ZXY', 'XYZ', 'ZYX', 'YXZ']


def bvh_text(parents: dict[str, str | None], offset: dict[str, np.ndarray], channels: dict[str, list[str]],
             values: dict[str, np.ndarray], end: str = '\n', fps: float = 60) -> bytes:
    """A file of joints by name, (T, channels) values each; depth first, as the format wants it."""
    lines, columns = ['HIERARCHY'], []

    def write(name: str, depth: int) -> None:
        pad = '\t' * depth
        lines.extend([f'{pad}{"JOINT" if depth else "ROOT"} {name}', f'{pad}{{',
                      f'{pad}\tOFFSET {join(offset[name])}'])
        if channels[name]:
            lines.append(f'{pad}\tCHANNELS {len(channels[name])} {" ".join(channels[name])}')
        columns.append(values[name])
        children = [child for child, parent in parents.items() if parent == name]
        for child in children:
            write(child, depth + 1)
        if not children:
            lines.extend([f'{pad}\tEnd Site', f'{pad}\t{{', f'{pad}\t\tOFFSET 0 1 0', f'{pad}\t}}'])
        lines.append(f'{pad}}}')

    write(next(name for name, parent in parents.items() if parent is None), 0)
    rows = np.concatenate(columns, axis=1)
    lines += ['MOTION', f'Frames: {len(rows)}', f'Frame Time: {1 / fps:.6f}', *(join(row) for row in rows)]
    return (end.join(lines) + end).encode()


POSITIONS = ['Xposition', 'Yposition', 'Zposition']


class BVHBody:
    """A random hierarchy and motion of it; ``moving`` gives every joint any channels in any order."""

    def __init__(self, seed: int = 0, frames: int = 6, moving: bool = False) -> None:
        rng = np.random.default_rng(seed)
        self.parents, self.frames = dict(BVH_JOINTS), frames
        self.offset = {name: rng.uniform(-20, 20, 3).round(4) for name in self.parents}
        self.channels, self.values = {}, {}
        for name, parent in BVH_JOINTS:
            order = [f'{axis}rotation' for axis in ORDERS[int(rng.integers(4))]]
            channels = [*([] if parent else POSITIONS), *order]
            if moving:
                channels = rng.permutation([*POSITIONS, *order])[:rng.integers(1 if not parent else 0, 7)].tolist()
            self.channels[name] = channels
            self.values[name] = rng.uniform(-90, 90, (frames, len(channels))).round(4)

    def text(self, end: str = '\n', fps: float = 60) -> bytes:
        return bvh_text(self.parents, self.offset, self.channels, self.values, end, fps)

    def positions(self) -> np.ndarray:
        """(T, V, 3), joint by joint; a position channel takes the place of that coordinate of the offset."""
        found = np.zeros((self.frames, len(BVH_JOINTS), 3))
        for t in range(self.frames):
            turns, places = {}, {}
            for name, parent in BVH_JOINTS:
                shift, own = self.offset[name].copy(), Rotation.identity()
                for channel, value in zip(self.channels[name], self.values[name][t], strict=True):
                    if channel in POSITIONS:
                        shift[POSITIONS.index(channel)] = value
                    else:
                        # about the axes of the joint itself, the first channel first
                        own = own * Rotation.from_euler(channel[0].lower(), value, degrees=True)
                if parent is None:
                    turns[name], places[name] = own, shift
                else:
                    places[name] = places[parent] + turns[parent].apply(shift)
                    turns[name] = turns[parent] * own
            found[t] = [places[name] for name, _ in BVH_JOINTS]
        return found
