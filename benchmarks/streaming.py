"""How long one CPU thread takes to look at a window of a live recording: in PyTorch, and as an exported file.

Frames of the built-in synthetic set come one by one; once the window is full, every frame is looked at by both in
turns, so that what else the machine does slows both alike. PyTorch: SkeletonStream, from the frame to the result.
ONNX: the window, prepared by docs/examples/run_onnx.py in numpy, through onnxruntime. Latency is by the clock on the
wall; the processor's time, which other jobs of the machine disturb less, stands beside it, and what of that the encoder
and classifier take, from prepared joints on.

Example:
    python benchmarks/streaming.py actclr.pth --out work_dirs/streaming
"""
import argparse
import os
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'docs' / 'examples')]
# torch reads it when it is first imported
os.environ.setdefault('OMP_NUM_THREADS', '1')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='checkpoint with a model card')
    parser.add_argument('--onnx', help='exported file of it (default: exported here)')
    parser.add_argument('--looks', type=int, default=300, help='windows that are timed (default: %(default)s)')
    parser.add_argument('--warm-up', type=int, default=20, help='windows before that (default: %(default)s)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/streaming'),
                        help='folder for streaming.json and streaming.md (default: %(default)s)')
    return parser.parse_args()


def main() -> None:
    """Measure, print the table and write it with all numbers."""
    args = parse_args()
    import numpy as np
    import torch

    from mmactclr.apis import SkeletonInferencer, SkeletonStream, export_onnx
    from mmactclr.errors import ConfigError
    from mmactclr.utils import write_json, write_text
    if args.looks < 1 or args.warm_up < 0:
        raise ConfigError(f'--looks is {args.looks} and --warm-up {args.warm_up}, expected 1 or more and 0 or more')
    torch.set_num_threads(1)
    inferencer = SkeletonInferencer(args.checkpoint)
    stream = SkeletonStream(inferencer)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(args.onnx or Path(folder) / 'model.onnx')
        if not args.onnx:
            export_onnx(inferencer, path)
        size = path.stat().st_size
        exported = Exported(path, stream.window)
    plain = Timed(inferencer.model.extract)
    inferencer.model.extract = plain
    seconds: dict[str, list[float]] = {f'{name}_{part}': [] for name in ('torch', 'onnx')
                                       for part in ('wall', 'cpu', 'model_cpu')}
    apart, looks = 0., 0
    for frame in frames(inferencer.layout, stream.window + args.warm_up + args.looks - 1):
        # whoever comes second finds the frame in the cache: they take turns
        order = ('torch', 'onnx') if stream.count % 2 else ('onnx', 'torch')
        found, took = {}, {}
        for name in order:
            start = time.perf_counter(), time.process_time()
            found[name] = stream.push(frame) if name == 'torch' else exported.push(frame)
            took |= {f'{name}_wall': time.perf_counter() - start[0], f'{name}_cpu': time.process_time() - start[1]}
        if found['torch'] is None:
            continue
        looks += 1
        if looks <= args.warm_up:
            continue
        for name, value in (*took.items(), ('torch_model_cpu', plain.seconds),
                            ('onnx_model_cpu', exported.run.seconds)):
            seconds[name].append(value)
        one, two = found['torch'], found['onnx']
        apart = max(apart, float(np.abs(one.embedding - two['embedding']).max() / np.abs(one.embedding).max()))
        if one.score is not None:
            apart = max(apart, float(np.abs(one.score - two['score']).max()))
    rows = {name: summary(values) for name, values in seconds.items()}
    table = as_table(rows)
    print(table)
    print(f'embeddings (relative to the largest number) and shares of classes at most {apart:.1e} apart; '
          f'ONNX file {size / 1e6:.2f} MB')
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        write_json(args.out / 'streaming.json', dict(
            checkpoint=Path(args.checkpoint).name, window=stream.window, looks=args.looks, milliseconds=rows,
            largest_difference=apart, onnx_bytes=size, torch=torch.__version__, onnxruntime=exported.version))
        write_text(args.out / 'streaming.md', table)
    except OSError as error:
        raise ConfigError(f'--out {args.out}: cannot be written ({error})') from error


class Timed:
    """A function that notes how much of the processor's time its last call took, in ``seconds``."""

    def __init__(self, function: Any) -> None:
        self.function, self.seconds = function, 0.

    def __call__(self, *args: Any) -> Any:
        """Call it."""
        start = time.process_time()
        result = self.function(*args)
        self.seconds = time.process_time() - start
        return result


class Exported:
    """The stream of an exported file: the last frames, looked at once there are enough of them."""

    def __init__(self, path: Path, window: int) -> None:
        import onnxruntime
        import run_onnx
        self.example, self.version = run_onnx, onnxruntime.__version__
        session, self.about = run_onnx.load(str(path), threads=1)
        self.names = session.get_outputs
        self.run = Timed(session.run)
        self.frames: deque = deque(maxlen=window)

    def get_outputs(self) -> Any:
        """As the session has them."""
        return self.names()

    def push(self, frame: Any) -> dict[str, Any] | None:
        """Take a frame (M, V, C); what the file gives for the window that ends with it."""
        import numpy as np
        self.frames.append(frame)
        if len(self.frames) < self.frames.maxlen:
            return None
        return self.example.look(self, self.about, np.stack(self.frames, 1))


def frames(layout: Any, count: int) -> Any:
    """Frames (1, V, 3) of one person after the other of the synthetic set, on the joints of a layout, in metres."""
    import numpy as np

    from mmactclr.datasets.synthetic import LAYOUT, make_synthetic
    from mmactclr.structures import get_layout
    from mmactclr.transforms import SkeletonAdapter
    adapt = SkeletonAdapter(get_layout(LAYOUT), layout)
    motion = np.concatenate([adapt(sequence[:1])[0] for sequence in make_synthetic(2, 1, 2).sequences])
    for t in range(count):
        yield motion[None, t % len(motion)]


def summary(seconds: list[float]) -> dict[str, float]:
    """Milliseconds of a look, ``median`` and ``p95``, and how many there are ``per_second``, on average."""
    import numpy as np
    milliseconds = 1e3 * np.array(seconds)
    return dict(median=float(np.median(milliseconds)), p95=float(np.percentile(milliseconds, 95)),
                per_second=1e3 / float(milliseconds.mean()))


def as_table(rows: dict[str, dict[str, float]]) -> str:
    """Markdown of the measurements."""
    lines = ['| one thread | median, ms | p95, ms | windows/s | processor, median, ms | of it model, ms |',
             '| --- ' * 6 + '|']
    for name, title in (('torch', 'PyTorch fp32, `SkeletonStream`'), ('onnx', 'onnxruntime, numpy')):
        wall = rows[f'{name}_wall']
        lines.append(f'| {title} | {wall["median"]:.1f} | {wall["p95"]:.1f} | {wall["per_second"]:.1f} | '
                     f'{rows[f"{name}_cpu"]["median"]:.1f} | {rows[f"{name}_model_cpu"]["median"]:.1f} |')
    return '\n'.join(lines)


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
