"""Measure how fast and in how much memory recordings of NTU RGB+D become an archive and prepared sequences.

``parse`` and ``prepare`` compare with a plain implementation, line by line and frame by frame as public code has it, in
one process, alternating, median of several rounds. ``memory`` converts a folder of many recordings (names of their own,
content of a hundred) in a process of its own and reports its peak.

Example:
    python benchmarks/conversion.py parse prepare
    python benchmarks/conversion.py memory --files 60000
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault('OMP_NUM_THREADS', '1')

import numpy as np  # noqa: E402

from mmactclr.datasets import SkeletonArchive  # noqa: E402
from mmactclr.datasets.converters.ntu import read_skeleton  # noqa: E402
from mmactclr.datasets.converters.source_files import find_files  # noqa: E402
from mmactclr.structures import get_layout  # noqa: E402
from mmactclr.transforms import prepare  # noqa: E402

# frames of a recording of NTU RGB+D: 32 to 300, mean 84
FRAMES = (32, 136)
# share of its recordings in which two people act
TWO_PEOPLE = 0.2
NUM_FRAMES = 50


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', nargs='+', choices=['parse', 'prepare', 'memory'])
    parser.add_argument('--recordings', type=int, default=40, help='of parse and prepare (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=7, help='of parse and prepare (default: %(default)s)')
    parser.add_argument('--files', type=int, default=60000, help='of memory (default: %(default)s)')
    parser.add_argument('--folder', type=Path, help='where files are written, for a while; default: a temporary one')
    return parser.parse_args()


def write_recordings(folder: Path, count: int) -> list[Path]:
    """Recordings with as many frames, people and digits as those of NTU RGB+D."""
    rng = np.random.default_rng(0)
    paths = []
    for i in range(count):
        frames, people = int(rng.integers(*FRAMES)), 1 + int(rng.random() < TWO_PEOPLE)
        joints = rng.normal(0, .01, (frames, people, 25, 3)).cumsum(0) + rng.normal(0, .5, (people, 25, 3)) + [0, 0, 3]
        lines = [str(frames)]
        for frame in joints:
            lines.append(str(people))
            for m, body in enumerate(frame):
                lines += [f'7205759403793110{m} 0 1 1 1 1 0 0.02764709 0.05745083 2', '25']
                rest = rng.normal(300, 100, (25, 8))
                lines += [' '.join([*(f'{x:.7g}' for x in xyz), *(f'{x:.7g}' for x in more), '2'])
                          for xyz, more in zip(body, rest, strict=True)]
        paths.append(folder / f'S001C001P{i % 40 + 1:03}R{i // 40 + 1:03}A{i % 60 + 1:03}.skeleton')
        paths[-1].write_text('\r\n'.join(lines) + '\r\n')
    return paths


def plain_read(path: Path) -> np.ndarray:
    """(M, T, 25, 3) by reading line by line, all fields into dicts, then the positions into an array."""
    with path.open() as file:
        frames = []
        for _ in range(int(file.readline())):
            bodies = []
            for _ in range(int(file.readline())):
                names = ('bodyID', 'clipedEdges', 'handLeftConfidence', 'handLeftState', 'handRightConfidence',
                         'handRightState', 'isResticted', 'leanX', 'leanY', 'trackingState')
                body = {name: float(value) for name, value in zip(names, file.readline().split(), strict=True)}
                body['joints'] = []
                for _ in range(int(file.readline())):
                    names = ('x', 'y', 'z', 'depthX', 'depthY', 'colorX', 'colorY', 'orientationW', 'orientationX',
                             'orientationY', 'orientationZ', 'trackingState')
                    body['joints'].append(
                        {name: float(value) for name, value in zip(names, file.readline().split(), strict=True)})
                bodies.append(body)
            frames.append(bodies)
    data = np.zeros((2, len(frames), 25, 3), np.float32)
    for t, bodies in enumerate(frames):
        for m, body in enumerate(bodies[:2]):
            for v, joint in enumerate(body['joints']):
                data[m, t, v] = [joint['x'], joint['y'], joint['z']]
    return data[:max(map(len, frames))]


def plain_prepare(sequence: np.ndarray) -> np.ndarray:
    """(2, 50, 25, 3): centre, resize and turn frame by frame (section 4 of the method)."""
    persons, frames = sequence.shape[:2]
    result = np.zeros((2, NUM_FRAMES, 25, 3), np.float32)
    for m in range(persons):
        centred = np.stack([frame - frame[20] for frame in sequence[m]])
        resized = np.zeros((NUM_FRAMES, 25, 3), np.float32)
        for t in range(NUM_FRAMES):
            at = min(max((t + .5) * frames / NUM_FRAMES - .5, 0), frames - 1)
            low = int(at)
            high, share = min(low + 1, frames - 1), at - low
            resized[t] = (1 - share) * centred[low] + share * centred[high]
        across = resized[:, 8] - resized[:, 4]
        sign = -1 if across[:, 2].sum() >= 0 else 1
        for t in range(NUM_FRAMES):
            theta = sign * np.arccos(across[t, 0] / (np.sqrt(across[t, 0] ** 2 + across[t, 2] ** 2) + 1e-4))
            turn = np.array([[np.cos(theta), 0, -np.sin(theta)], [0, 1, 0], [np.sin(theta), 0, np.cos(theta)]])
            for v in range(25):
                result[m, t, v] = turn @ resized[t, v]
    return result


def compare(plain: Callable[[], None], ours: Callable[[], None], rounds: int) -> tuple[float, float]:
    """Median seconds of both, alternating."""
    seconds: dict[Callable[[], None], list[float]] = {plain: [], ours: []}
    for _ in range(rounds):
        for run in (plain, ours):
            start = time.perf_counter()
            run()
            seconds[run].append(time.perf_counter() - start)
    return statistics.median(seconds[plain]), statistics.median(seconds[ours])


def report(what: str, recordings: int, frames: int, plain: float, ours: float) -> None:
    """One line of a table and one of JSON."""
    print(f'{what}: {recordings} recordings, {frames} frames; plain {1000 * plain / recordings:.2f} ms a recording, '
          f'mmactclr {1000 * ours / recordings:.2f} ms, {plain / ours:.1f} times as fast')
    print(json.dumps(dict(what=what, recordings=recordings, frames=frames, plain_s=plain, ours_s=ours,
                          ratio=plain / ours)), flush=True)


def measure_speed(what: str, folder: Path, recordings: int, rounds: int) -> None:
    """Compares after making sure that both give the same."""
    paths = write_recordings(folder, recordings)
    files = find_files(folder, '*.skeleton')
    sequences = [plain_read(path) for path in paths]
    frames = sum(len(sequence[0]) for sequence in sequences)
    if what == 'parse':
        found = {clip.name: clip.keypoint for file in files for clip in read_skeleton(file, 60)}
        for path, sequence in zip(paths, sequences, strict=True):
            np.testing.assert_array_equal(found[path.stem], sequence)
        times = compare(lambda: [plain_read(path) for path in paths],
                        lambda: [read_skeleton(file, 60) for file in files], rounds)
    else:
        layout = get_layout('ntu25')
        ours = prepare(sequences, layout, NUM_FRAMES)[0].numpy()
        for expected, found in zip(map(plain_prepare, sequences), ours, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-4)
        times = compare(lambda: [plain_prepare(sequence) for sequence in sequences],
                        lambda: prepare(sequences, layout, NUM_FRAMES), rounds)
    report(what, recordings, frames, *times)


_CONVERT = '''
import json, resource, sys, time
sys.argv[0] = 'convert.py'
sys.path[:0] = [sys.argv[1], sys.argv[1] + '/tools/dataset_converters']
from convert import main
start = time.perf_counter()
status = main(['ntu', sys.argv[2], sys.argv[3]])
print(json.dumps(dict(status=status, seconds=time.perf_counter() - start,
    main_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    worker_mib=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)))
'''


def measure_memory(folder: Path, files: int) -> None:
    """Converts many recordings in a process of its own."""
    sources = write_recordings(folder, 100)
    raw = folder / 'raw'
    raw.mkdir()
    for i in range(files):
        setup, camera, subject, action = i // 7200 % 17 + 1, i // 2400 % 3 + 1, i // 60 % 40 + 1, i % 60 + 1
        name = f'S{setup:03}C{camera:03}P{subject:03}R{i // 122400 + 1:03}A{action:03}'
        os.link(sources[i % 100], raw / f'{name}.skeleton')
    done = subprocess.run([sys.executable, '-c', _CONVERT, ROOT, raw, folder / 'archive'], text=True,
                          stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    archive = SkeletonArchive.open(folder / 'archive')
    cores = len(os.sched_getaffinity(0))
    print(f'memory: {len(archive)} recordings, {archive.column("frames").sum()} frames in {found["seconds"]:.0f} s on '
          f'{cores} cores; peak {found["main_mib"]:.0f} MiB in the main process, {found["worker_mib"]:.0f} MiB in the '
          f'largest of its {cores} workers (most of it the libraries that they share)')
    print(json.dumps(dict(what='memory', recordings=len(archive), cores=cores, **found)), flush=True)


def main() -> None:
    """Measure what was asked for."""
    args = parse_args()
    for what in args.what:
        folder = Path(tempfile.mkdtemp(prefix='conversion-', dir=args.folder))
        try:
            if what == 'memory':
                measure_memory(folder, args.files)
            else:
                measure_speed(what, folder, args.recordings, args.rounds)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == '__main__':
    main()
