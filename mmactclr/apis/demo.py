"""The built-in demonstration: pretrain in two stages, measure every stage beside what costs nothing."""
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmactclr.datasets import SkeletonArchive, SkeletonDataset
from mmactclr.engine.checkpoints import find_newest
from mmactclr.errors import DataError
from mmactclr.evaluation import format_table
from mmactclr.registry import CONVERTERS
from mmactclr.utils import load_config, write_json
from mmactclr.visualization import draw_actionlet_sheet, draw_curves, read_history

from .actionlets import find_actionlets
from .inference import init_model
from .run import run_test, run_training

COLUMNS = {'knn/backbone_k1': '1-NN', 'knn/backbone_k20': 'kNN (k 20)', 'linear/backbone_top1': 'linear'}
BASELINES = {
    'unprepared_coordinates': 'raw coordinates, unprepared',
    'prepared_coordinates': 'raw coordinates, prepared',
    'mean_joint_velocity': 'mean joint velocity',
    'untrained_encoder': 'untrained encoder'}


def run_demo(config: str | Path, work_dir: str | Path, seed: int = 0) -> dict[str, dict[str, float]]:
    """Generate the data, pretrain, evaluate and draw.

    Everything lands in ``work_dir``: ``data/``, ``actclr/`` and ``moco_continued/`` with checkpoints
    and logs, ``metrics.json``, ``actionlets.png`` and ``curves.png``. A run that was interrupted goes on
    from its newest checkpoint.

    Args:
        config: Config of the demonstration.
        work_dir: Folder for everything.
        seed: Seed of weights, order and augmentation.

    Returns:
        Top-1 accuracy in percent, ``{row: {'1-NN', 'kNN (k 20)', 'linear'}}``.
    """
    work_dir = Path(work_dir)
    data_root = work_dir / 'data'
    options = {'data_root': str(data_root), 'randomness.seed': seed}
    cfg = load_config(config, options)
    stage_one, stage_two = cfg.model.stage_epochs
    total = stage_one + stage_two

    archive = _make_data(data_root)
    train, test = (len(archive.split(cfg.split, part)) for part in ('train', 'test'))
    print(f'built-in motion: {len(archive)} sequences, {len(archive.classes)} classes, {train} to train on, '
          f'{test} of other people to test on', flush=True)

    print(f'\npretraining without labels: {stage_one} epochs of momentum contrast, then {stage_two} of ActCLR',
          flush=True)
    actclr = _train(config, work_dir / 'actclr', options, total)
    after_one = actclr / f'epoch_{stage_one}.pth'

    print(f'\nfor comparison: momentum contrast alone for the same {stage_two} epochs, from the end of stage one (with '
          'other model.stage_epochs than those it was trained with, which the log warns of)', flush=True)
    longer = {**options, 'model.stage_epochs': (total, 0)}
    moco = _train(config, work_dir / 'moco_continued', longer, total, start=after_one)

    print('\nevaluating on people who were not in the training set', flush=True)
    rows = _evaluate(config, work_dir, options, {
        'after stage one': after_one,
        'stage one continued': moco / f'epoch_{total}.pth',
        'after stage two (ActCLR)': actclr / f'epoch_{total}.pth'})
    write_json(work_dir / 'metrics.json', {
        'seed': seed, 'data': {'checksum': archive.checksum, 'split': cfg.split}, 'top-1 in %': rows,
        'epochs': {'stage one': stage_one, 'stage two': stage_two}})
    pictures = _draw(config, options, work_dir, actclr / f'epoch_{total}.pth')

    print('\ntop-1 accuracy in %, test subjects\n' + format_table(rows))
    print('\nwritten: ' + ', '.join(str(path) for path in [work_dir / 'metrics.json', *pictures]))
    return rows


def _make_data(data_root: Path) -> SkeletonArchive:
    try:
        return SkeletonArchive.open(data_root)
    except DataError:
        return CONVERTERS.build(dict(type='synthetic')).convert('-', data_root, overwrite=data_root.exists())


def _train(config: str | Path, work_dir: Path, options: Mapping[str, Any], epochs: int,
           start: Path | None = None) -> Path:
    if not (work_dir / f'epoch_{epochs}.pth').is_file():
        newest = find_newest(work_dir) or start
        resume = None if newest is None else str(newest)
        run_training(config, work_dir=work_dir, resume=resume, options=options)
    return work_dir


def _evaluate(config: str | Path, work_dir: Path, options: Mapping[str, Any],
              checkpoints: Mapping[str, Path]) -> dict[str, dict[str, float]]:
    rows: dict[str, dict[str, float]] = {}
    for name, checkpoint in checkpoints.items():
        print(f'  {name}', flush=True)
        cfg = load_config(config, options)
        if rows:
            cfg.test_cfg.baselines = {}
        metrics = run_test(cfg, checkpoint, work_dir=work_dir / 'test')
        if not rows:
            rows = {label: _columns(metrics, f'{key}/') for key, label in BASELINES.items()}
        rows[name] = _columns(metrics, '')
    return rows


def _columns(metrics: Mapping[str, float], prefix: str) -> dict[str, float]:
    return {label: metrics[prefix + key] for key, label in COLUMNS.items()}


def _draw(config: str | Path, options: Mapping[str, Any], work_dir: Path, checkpoint: Path) -> list[Path]:
    cfg = load_config(config, options)
    test = SkeletonDataset(**{key: value for key, value in cfg.test_dataloader.dataset.items() if key != 'type'}
                           | {'subset': 'test'})
    examples = find_actionlets(init_model(cfg, checkpoint), test)
    sheet = draw_actionlet_sheet(examples, cfg.layout, work_dir / 'actionlets.png')
    return [sheet, draw_curves(read_history(work_dir / 'actclr'), work_dir / 'curves.png')]
