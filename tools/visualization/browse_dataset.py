"""Look at sequences: as recorded, prepared, and in every view that a method trains on.

Writes contact sheets (PNG) and, with --animate or --mp4, an animation (GIF or MP4) of every sequence. Of an archive, or
of a config that names one; only a config has augmented views. They come from the config's own data set and data
preprocessor, in the first epoch of the stage that asks for them.

Example:
    python tools/visualization/browse_dataset.py data/utd_mhad --classes "right arm throw" --number 4
    python tools/visualization/browse_dataset.py configs/actclr/actclr_joint_utdmhad_xsub.py --number 2 --animate
"""
import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

if TYPE_CHECKING:
    import numpy as np

    from mmactclr.datasets import SkeletonArchive, SkeletonDataset
    from mmactclr.visualization import Viewpoint
    from mmactclr.visualization.contact_sheet import SequenceRows
    from mmactclr.visualization.motion_clip import MotionClip

STAGES = ('raw', 'prepared', 'augmented')
# rows of one sheet, unless a single sequence has more
MOST_ROWS = 24
CAPTION = ('Numbers are frames; a row has one scale. Where warm (right) limbs are at the right, a body is seen from '
           'behind.\nPrepared bodies are centred one by one and drawn side by side.')
SPACE_CAPTION = ('Numbers are frames; a row has one scale. The floor is as low as the lowest joint of the sequence, '
                 'its squares have the size in the corner.\nPrepared bodies are centred one by one and drawn side by '
                 'side.')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from mmactclr.utils.cli import OptionsAction, ToolParser, add_view
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', metavar='CONFIG_OR_ARCHIVE',
                        help='archive folder, config file, or the name of a config of this package')
    parser.add_argument('--out', metavar='DIR', help='folder to write to; default work_dirs/browse/NAME')
    parser.add_argument('--number', type=int, default=12, metavar='N',
                        help='sequences, of as many classes as possible; default 12')
    parser.add_argument('--classes', nargs='+', default=[], metavar='NAME', help='only of these classes')
    parser.add_argument('--names', nargs='+', default=[], metavar='NAME', help='all sequences of these names')
    parser.add_argument('--split', metavar='NAME:PART',
                        help='choose from this part, such as xsub:test; default the part a config trains on, or all')
    parser.add_argument('--stages', nargs='+', choices=STAGES, help='default all that there are')
    parser.add_argument('--animate', action='store_true', help='write a GIF of every sequence, too')
    parser.add_argument('--mp4', action='store_true', help='write an MP4 of every sequence, too; needs imageio-ffmpeg')
    add_view(parser)
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction, metavar='K=V', default={},
                        help='override entries of the config, e.g. data_root=data/other')
    parser.add_argument('--seed', type=int, metavar='S',
                        help='of the choice and the augmentation; default that of the config, or 0')
    return parser.parse_args(argv)


@dataclass
class Source:
    """Where sequences come from.

    Attributes:
        archive: The recordings.
        positions: Positions in the archive to choose from.
        dataset: That of the config, if there is one.
        preprocessor: Config of the data preprocessor, if there is one.
        up: Axis that points up, where the config says so.
        seed: Of the choice and the augmentation.
    """

    archive: 'SkeletonArchive'
    positions: 'np.ndarray'
    dataset: 'SkeletonDataset | None' = None
    preprocessor: dict[str, Any] | None = None
    up: str | None = None
    seed: int = 0


def open_archive(args: argparse.Namespace) -> Source:
    """The sequences of an archive folder."""
    import numpy as np

    from mmactclr.datasets import SkeletonArchive
    from mmactclr.errors import ConfigError
    if args.cfg_options:
        raise ConfigError(f'--cfg-options are for a config, {args.source} is an archive')
    archive = SkeletonArchive.open(args.source)
    positions = np.arange(len(archive)) if args.split is None else archive.split(*split_part(args.split))
    return Source(archive, positions, seed=args.seed or 0)


def open_config(args: argparse.Namespace) -> Source:
    """The sequences that a config trains on, prepared as it says."""
    from mmactclr.apis.faults import explain_faults
    from mmactclr.apis.run import explain_build_errors
    from mmactclr.datasets import SkeletonDataset
    from mmactclr.errors import ConfigError
    from mmactclr.registry import DATASETS
    from mmactclr.utils import load_config
    cfg = load_config(args.source, args.cfg_options)
    loader = cfg.get('train_dataloader') or cfg.get('test_dataloader')
    if not loader:
        raise ConfigError(f'{cfg.filename}: there is neither a train_dataloader nor a test_dataloader to show data of')
    chosen = dict(zip(('split', 'subset'), split_part(args.split), strict=True)) if args.split else {}
    with explain_faults(), explain_build_errors(cfg.filename):
        dataset = DATASETS.build({**loader['dataset'], **chosen})
    if not isinstance(dataset, SkeletonDataset):
        raise ConfigError(f'{cfg.filename}: the data set is a {type(dataset).__name__}, expected a SkeletonDataset; '
                          'give the folder of one of its archives instead')
    model = cfg.get('model')
    preprocessor = model.get('data_preprocessor') if isinstance(model, dict) else None
    seed = (cfg.get('randomness') or {}).get('seed') or 0
    return Source(dataset.archive, dataset.index, dataset, preprocessor, loader['dataset'].get('up'),
                  seed if args.seed is None else args.seed)


def split_part(text: str) -> tuple[str, str]:
    """``NAME:PART`` as a pair."""
    from mmactclr.errors import ConfigError
    name, colon, part = text.rpartition(':')
    if not colon or not name:
        raise ConfigError(f'--split {text!r}: expected NAME:PART, such as xsub:train')
    return name, part


def stages_of(source: Source, wanted: Sequence[str] | None) -> Sequence[str]:
    """Stages to show, in their order."""
    from mmactclr.errors import ConfigError
    views = (source.preprocessor or {}).get('views')
    if wanted and 'augmented' in wanted and not views:
        raise ConfigError('--stages augmented needs a config that trains: one whose model.data_preprocessor has views')
    return [stage for stage in STAGES if (stage in wanted if wanted else views or stage != 'augmented')]


def prepare_clips(source: Source, chosen: 'np.ndarray') -> list[list['MotionClip']]:
    """The prepared stage of each sequence: from the data set of the config, or prepared as one without a config."""
    from mmactclr.transforms import prepare
    from mmactclr.visualization.stages import prepared_clip
    if source.dataset is not None:
        batch = source.dataset.__getitems__(in_dataset(source.dataset, chosen))
        joints, mask, layout = batch['inputs'], batch['mask'], source.dataset.metainfo['layout']
    else:
        sequences = [source.archive.sequence(i) for i in chosen]
        joints, mask = prepare(sequences, source.archive.layout, max_persons=max(len(each) for each in sequences))
        layout = source.archive.layout
    return [[prepared_clip(*each, layout)] for each in zip(joints, mask, strict=True)]


def augment_clips(source: Source, chosen: 'np.ndarray') -> list[list['MotionClip']]:
    """Every view of each sequence, from the data preprocessor of the config."""
    from mmactclr.apis.faults import explain_faults
    from mmactclr.apis.run import explain_build_errors
    from mmactclr.registry import MODELS
    from mmactclr.visualization.stages import view_clips
    config = dict(source.preprocessor)
    streams = list(config.get('streams', ['joint']))
    with explain_faults(), explain_build_errors(None):
        # motion is drawn on joints; further streams change nothing in those that are there
        preprocessor = MODELS.build({**config, 'streams': [*streams, *{'joint'} - set(streams)]})
    preprocessor.set_progress(source.seed, 0, 0, 0)
    positions = in_dataset(source.dataset, chosen)
    if len(positions) == 1 < len(source.dataset):
        # somebody to be mixed with
        positions = [*positions, (positions[0] + 1) % len(source.dataset)]
    batch = source.dataset.__getitems__(positions)
    views = preprocessor(batch, True, views=list(config['views']))
    names = source.archive.column('name')[batch['index'].numpy()].astype(str)
    return [view_clips(views, i, preprocessor.layout, streams, names) for i in range(len(chosen))]


def in_dataset(dataset: 'SkeletonDataset', chosen: 'np.ndarray') -> list[int]:
    """Positions in a data set of positions in its archive."""
    where = {int(position): i for i, position in enumerate(dataset.index)}
    return [where[int(position)] for position in chosen]


def gather(source: Source, chosen: 'np.ndarray', stages: Sequence[str]) -> list['SequenceRows']:
    """The rows of every chosen sequence."""
    from mmactclr.visualization.contact_sheet import SequenceRows
    from mmactclr.visualization.stages import raw_clip, upright
    archive = source.archive
    clips: list[list[MotionClip]] = [[] for _ in chosen]
    turn = upright(archive, source.up) if 'raw' in stages else None
    makers = dict(raw=lambda: [[raw_clip(archive, i, *turn)] for i in chosen],
                  prepared=lambda: prepare_clips(source, chosen), augmented=lambda: augment_clips(source, chosen))
    for stage in stages:
        for own, more in zip(clips, makers[stage](), strict=True):
            own += more
    return [SequenceRows(title_of(archive, int(i)), own, speed_of(archive, int(i), own[0].num_frames))
            for i, own in zip(chosen, clips, strict=True)]


def in_space(sequence: 'SequenceRows', view: 'Viewpoint') -> 'SequenceRows':
    """The rows of a sequence, seen from a viewpoint."""
    from mmactclr.visualization.space import SpaceClip
    return replace(sequence, clips=[SpaceClip.of(clip, view) for clip in sequence.clips])


def title_of(archive: 'SkeletonArchive', i: int) -> str:
    """Class, name and length of a sequence."""
    label, frames = int(archive.labels[i]), archive.frames(i)
    name = archive.classes[label] if 0 <= label < len(archive.classes) else 'unlabelled'
    fps = archive.meta.get('fps')
    return f'{name}  |  {archive.column("name")[i]}  |  {frames} frames' + (f', {frames / fps:.1f} s' if fps else '')


def speed_of(archive: 'SkeletonArchive', i: int, num_frames: int) -> float | None:
    """Frames a second at which so many frames last as long as the recording."""
    fps = archive.meta.get('fps')
    return fps * num_frames / archive.frames(i) if fps else None


def pages(rows: list['SequenceRows']) -> list[list['SequenceRows']]:
    """Sequences that share a sheet."""
    found: list[list[SequenceRows]] = [[]]
    for sequence in rows:
        if found[-1] and sum(len(each.clips) for each in [*found[-1], sequence]) > MOST_ROWS:
            found.append([])
        found[-1].append(sequence)
    return found


def write(rows: list['SequenceRows'], out: Path, caption: str, kinds: Sequence[str] = ()) -> None:
    """Write sheets and animations, and print what was written."""
    from mmactclr.visualization.animation import draw_animation
    from mmactclr.visualization.contact_sheet import draw_contact_sheet
    sheets = pages(rows)
    for number, page in enumerate(sheets, 1):
        name = 'sheet.png' if len(sheets) == 1 else f'sheet_{number:02d}.png'
        path = draw_contact_sheet(page, out / name, caption=caption)
        print(f'{path}: {len(page)} sequences, {sum(len(each.clips) for each in page)} rows')
    for number, sequence in enumerate(rows, 1):
        name = re.sub(r'[^\w.-]+', '_', sequence.title.split('  |  ')[1])
        for kind in kinds:
            path = draw_animation(sequence, out / f'{number:02d}_{name}.{kind}')
            print(f'{path}: {len(sequence.clips)} panels')


def main(argv: list[str] | None = None) -> None:
    """Choose sequences, bring them through the stages and draw them."""
    args = parse_args(argv)
    import mmactclr.engine  # noqa: F401
    from mmactclr.errors import ConfigError
    from mmactclr.visualization import Viewpoint
    from mmactclr.visualization.animation import require_ffmpeg
    from mmactclr.visualization.stages import choose_sequences
    view = Viewpoint(args.elevation, args.azimuth) if args.view == '3d' else None
    if args.number < 1:
        raise ConfigError(f'--number is {args.number}, expected 1 or more')
    if args.mp4:
        require_ffmpeg()
    source = (open_archive if Path(args.source).is_dir() else open_config)(args)
    stages = stages_of(source, args.stages)
    chosen = choose_sequences(source.archive, source.positions, args.number, args.classes, args.names, source.seed)
    out = Path(args.out) if args.out else Path('work_dirs') / 'browse' / Path(args.source).resolve().stem
    kinds = [kind for kind, wanted in (('gif', args.animate), ('mp4', args.mp4)) if wanted]
    rows = gather(source, chosen, stages)
    if view is not None:
        rows = [in_space(sequence, view) for sequence in rows]
    write(rows, out, f'{args.source}\n{CAPTION if view is None else SPACE_CAPTION}', kinds)


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
