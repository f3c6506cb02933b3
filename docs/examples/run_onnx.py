"""Runs a file of tools/deployment/export_onnx.py on a recording, with numpy and onnxruntime alone.

    python run_onnx.py model.onnx recording.csv
    python run_onnx.py model.onnx recording.npy --metres-per-unit 0.01 --out result.npz

A recording is a CSV file, a line a frame, with columns JOINT_x, JOINT_y, JOINT_z for every joint of the model and a
column `person` where there are several; or an array (T, V, 3) of one person or (M, T, V, 3) of several, saved by
numpy.save. y points up; joints that were not seen are empty, zero or NaN. Everything else stands in the ONNX file.
"""
import argparse
import csv
import json
import sys

import numpy as np
import onnxruntime

# metres from hips to shoulders, from a toddler up
TORSO = (.2, 1.)


def main() -> None:
    """Look at one recording and print what the model says of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model')
    parser.add_argument('recording')
    parser.add_argument('--metres-per-unit', type=float, default=1.)
    parser.add_argument('--top', type=int, default=3, help='classes and joints that are shown')
    parser.add_argument('--out', help='npz for all outputs')
    args = parser.parse_args()
    session, about = load(args.model)
    layout = about['card']['layout']
    keypoint = read(args.recording, layout) * np.float32(args.metres_per_unit)
    if not TORSO[0] <= (torso := torso_length(keypoint, layout)) <= TORSO[1]:
        print(f'warning: with {args.metres_per_unit:g} metres per unit the median torso is {torso:.3g} m long, '
              f'expected {TORSO[0]:g} to {TORSO[1]:g} m; set --metres-per-unit', file=sys.stderr)
    found = look(session, about, keypoint)
    print(f'embedding: {found["embedding"].shape[0]} numbers of length {np.linalg.norm(found["embedding"]):.4g}')
    if 'score' in found:
        names = about['card']['classes'] or [f'class {k}' for k in range(len(found['score']))]
        best = np.argsort(-found['score'], kind='stable')[:args.top]
        print('classes:', ', '.join(f'{names[k]} {found["score"][k]:.0%}' for k in best))
    for name in [name for name in found if name.startswith('actionlet')]:
        share = found[name].sum((0, 1)) / max(found[name].sum(), np.finfo(np.float32).tiny)
        best = np.argsort(-share, kind='stable')[:args.top]
        print(f'{name}:', ', '.join(f'{layout["joints"][v]} {share[v]:.0%}' for v in best))
    if args.out:
        try:
            np.savez(args.out, **found)
        except OSError as error:
            raise SystemExit(f'error: {args.out} cannot be written ({error})') from error


def load(path: str, threads: int = 1) -> tuple[onnxruntime.InferenceSession, dict]:
    """The model, and what the file says of it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
        return session, json.loads(session.get_modelmeta().custom_metadata_map['mmactclr'])
    except Exception as error:  # those of onnxruntime have no base of their own
        raise SystemExit(f'error: {path} is no file of tools/deployment/export_onnx.py ({type(error).__name__}: '
                         f'{error})') from error


def read(path: str, layout: dict) -> np.ndarray:
    """(M, T, V, 3) coordinates of a CSV or npy file; joints that are no number were not seen and become zero."""
    try:
        keypoint = read_array(path, layout['joints']) if path.endswith('.npy') else read_csv(path, layout['joints'])
    except (OSError, ValueError, EOFError) as error:
        raise SystemExit(f'error: {path}: {error}') from error
    keypoint = np.where(np.isfinite(keypoint).all(-1, keepdims=True), keypoint, np.float32(0))
    if not keypoint.any():
        raise SystemExit(f'error: {path}: nobody is in it, all coordinates are zero or no number')
    return keypoint


def read_array(path: str, joints: list[str]) -> np.ndarray:
    """(M, T, V, 3) of an npy file."""
    keypoint = np.load(path, allow_pickle=False).astype(np.float32)
    keypoint = keypoint[None] if keypoint.ndim == 3 else keypoint
    if keypoint.ndim != 4 or keypoint.shape[2:] != (len(joints), 3) or 0 in keypoint.shape:
        raise ValueError(f'it has shape {keypoint.shape}, expected (persons, frames, {len(joints)}, 3) or (frames, '
                         f'{len(joints)}, 3)')
    return keypoint


def read_csv(path: str, joints: list[str]) -> np.ndarray:
    """(M, T, V, 3) of a CSV file."""
    columns, people = [f'{joint}_{axis}' for joint in joints for axis in 'xyz'], {}
    with open(path, newline='', encoding='utf-8-sig') as file:
        rows = csv.DictReader(file, restval=None)
        if missing := [column for column in columns if column not in (rows.fieldnames or ())]:
            raise ValueError(f'it has no column {missing[0]!r}, the model takes the joints {joints}')
        for row in rows:
            if None in row or None in row.values():
                raise ValueError(f'line {rows.line_num} has not {len(rows.fieldnames)} cells, as the first line has')
            try:
                values = [float(row[column].strip() or 'nan') for column in columns]
            except ValueError as error:
                raise ValueError(f'line {rows.line_num}: {error}') from error
            people.setdefault(row.get('person'), []).append(values)
    if not people:
        raise ValueError('it has no line after the names of the columns')
    keypoint = np.zeros((len(people), max(map(len, people.values())), len(joints), 3), np.float32)
    for body, frames in zip(keypoint, people.values(), strict=True):
        body[:len(frames)] = np.reshape(frames, (-1, len(joints), 3))
    return keypoint


def torso_length(keypoint: np.ndarray, layout: dict) -> float:
    """Median distance of the middle of the shoulders from that of the hips, where all four were seen."""
    seen = keypoint[:, :, [*layout['shoulders'], *layout['hips']]]
    seen = seen[seen.any(-1).all(-1)]
    return float(np.median(np.linalg.norm(seen[:, :2].mean(1) - seen[:, 2:].mean(1), axis=-1))) if len(seen) else 0.


def look(session: onnxruntime.InferenceSession, about: dict, keypoint: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs for one recording (M, T, V, C) in metres, without the axis of the batch; scores add up to one."""
    card, frames = about['card'], keypoint.shape[1]
    if about['scores_frames']:
        # windows keep their rate; the last one is continued by its last frame
        starts = range(0, frames, card['num_frames'])
        windows = [keypoint[:, np.arange(s, s + card['num_frames']).clip(max=frames - 1)] for s in starts]
    else:
        windows = [keypoint]
    prepared = [prepare(window, about) for window in windows]
    inputs = {'keypoint': np.stack([k for k, _ in prepared]), 'mask': np.stack([m for _, m in prepared])}
    found = dict(zip([output.name for output in session.get_outputs()], session.run(None, inputs), strict=True))
    if 'frame_score' in found:
        found['frame_score'] = softmax(found['frame_score']).reshape(1, -1, found['frame_score'].shape[-1])[:, :frames]
        found['score'] = found['frame_score'].mean(1)
        found['embedding'] = found['embedding'].mean(0, keepdims=True)
    elif 'score' in found:
        found['score'] = softmax(found['score'])
    return {name: value[0] if len(value) == 1 else np.concatenate(value, 1) for name, value in found.items()}


def prepare(keypoint: np.ndarray, about: dict) -> tuple[np.ndarray, np.ndarray]:
    """Joints (M, T, V, C) as the model takes them, and who is there (M,), from a recording in metres.

    The steps are those that the file names, in their order.
    """
    card, layout = about['card'], about['card']['layout']
    shape = (card['max_persons'], *keypoint.shape[1:])
    joints = np.zeros(shape, np.float32)
    # of more persons than the model takes, the first who are seen
    bodies = (keypoint if len(keypoint) <= shape[0] else keypoint[keypoint.any((1, 2, 3))])[:shape[0]]
    joints[:len(bodies)] = bodies
    there, length = joints.any((1, 2, 3)), None
    for step in about['preparation']:
        kind = step['type'].rpartition('.')[2]
        if kind == 'Centre':
            length = recorded_length(joints)
            joints = joints - joints[:, :, layout.get('origin') or [layout['centre']]].mean(2, keepdims=True)
        elif kind == 'ResizeFrames':
            joints = resize(joints, step.get('num_frames', 50), length or recorded_length(joints))
            length = None
        elif kind == 'AlignShoulders':
            joints = align_shoulders(joints, *layout['shoulders'])
        else:
            raise SystemExit(f'error: the model is prepared for by {kind!r}, which this example does not know')
        joints = joints * there[:, None, None, None]
    return joints.astype(np.float32), there & joints.any((1, 2, 3))


def recorded_length(joints: np.ndarray) -> int:
    """Frames in which the first joint of the first body is not zero, else those in which anything is not."""
    return max(int(joints[0, :, 0].any(-1).sum()) or int(joints.any((0, 2, 3)).sum()), 1)


def resize(joints: np.ndarray, num_frames: int, length: int) -> np.ndarray:
    """The first ``length`` frames as so many, linearly: each is read at the middle of its piece."""
    position = (np.arange(num_frames, dtype=np.float32) + np.float32(.5)) * np.float32(length / num_frames)
    position = (position - np.float32(.5)).clip(0, length - 1)
    left = np.floor(position).astype(int)
    weight = (position - left)[None, :, None, None]
    right = (left + 1).clip(max=length - 1)
    return joints[:, left] + weight * (joints[:, right] - joints[:, left])


def align_shoulders(joints: np.ndarray, left: int, right: int) -> np.ndarray:
    """Every body in every frame turned about y, so that its shoulders lie along x."""
    across = joints[:, :, right] - joints[:, :, left]
    x, z = across[..., 0], across[..., 2]
    theta = np.arccos(x / (np.hypot(x, z) + np.float32(1e-4)))
    theta = np.where(z.sum(-1, keepdims=True) >= 0, -theta, theta)[..., None]
    cos, sin = np.cos(theta), np.sin(theta)
    return np.stack([cos * joints[..., 0] - sin * joints[..., 2], joints[..., 1],
                     sin * joints[..., 0] + cos * joints[..., 2]], -1)


def softmax(score: np.ndarray) -> np.ndarray:
    """Shares that add up to one, over the last axis."""
    shares = np.exp(score - score.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


if __name__ == '__main__':
    main()
