"""One page about a run: what was trained on what, how well it does, and what it gets right and wrong."""
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config

from mmactclr.datasets import SkeletonDataset
from mmactclr.engine.hooks.report_hook import CLASSES, CONFUSION, REPORTS
from mmactclr.errors import DataError, MMActCLRError
from mmactclr.evaluation.collecting import OWN
from mmactclr.models.algorithms.base import BaseAlgorithm
from mmactclr.registry import DATASETS
from mmactclr.utils import load_config
from mmactclr.version import __version__
from mmactclr.visualization import (
    draw_actionlet_sheet,
    draw_confusion,
    draw_curves,
    draw_joint_heat_map,
    read_confusion,
    read_history,
)
from mmactclr.visualization.contact_sheet import SequenceRows, draw_contact_sheet
from mmactclr.visualization.html_page import HtmlPage
from mmactclr.visualization.stages import prepared_clip

from .actionlets import actionlet_class_shares, find_actionlets
from .inference import init_model
from .run import explain_build_errors
from .run_examples import SequenceVerdicts, class_names, look_at_tests
from .run_facts import RunFacts, read_run

#: Name of the page in the work dir.
PAGE = 'report.html'
# scores whose confusions are shown, the first that there is
_PREFERRED = ('classifier_score', 'linear_backbone_top1', 'knn_backbone_k20')
_CONFUSIONS, _QUERIES, _WORST, _FRAMES = 10, 3, 5, 6
# what a section may fail with when a part of a run is missing or of another kind
_EXPECTED = (MMActCLRError, OSError)


def write_report(work_dir: str | Path, path: str | Path | None = None, checkpoint: str | Path | None = None,
                 options: Mapping[str, Any] | None = None, examples: int = 6) -> Path:
    """Write a page about a run that needs neither a network nor JavaScript; what is missing is said on it.

    Args:
        work_dir: Folder of the run.
        path: Page to write; ``report.html`` in the work dir if None.
        checkpoint: Take this one instead of the newest.
        options: Overrides of the config by dotted key, such as where the data lie now.
        examples: Classes of which an actionlet is shown.

    Returns:
        The page.

    Raises:
        DataError: If there is no run in the folder.
        ConfigError: If the page cannot be written.
    """
    facts = read_run(work_dir, checkpoint)
    page = HtmlPage(f'Run {facts.work_dir.resolve().name}')
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder)
        _describe(page, facts)
        _results(page, facts)
        _part(page, 'Curves', lambda: page.picture(
            draw_curves(read_history(facts.work_dir), pictures / 'curves.png'),
            'Losses, and results of the evaluations during training, by epoch.'))
        _part(page, 'Classes and confusions', lambda: _classes(page, facts, pictures))
        _look_inside(page, facts, options, pictures, examples)
    return page.save(facts.work_dir / PAGE if path is None else path)


def _part(page: HtmlPage, title: str, add: Callable[[], None]) -> None:
    page.section(title)
    try:
        add()
    except _EXPECTED as error:
        page.missing(f'Not available: {" ".join(str(error).split())}')


def _describe(page: HtmlPage, facts: RunFacts) -> None:
    page.section('What was run')
    for text in facts.missing:
        page.missing(text)
    rows = [*(_summary(facts.config).items() if facts.config is not None else ())]
    data = facts.result.get('data') or {}
    rows += [('data', f"{data.get('data_root', 'not known')}, split {data.get('split', 'not known')}"),
             ('SHA-256 of the data', data.get('checksum') or 'not known'),
             ('training sequences', facts.training.get('sequences', 'not known')),
             ('seed', facts.result.get('seed', _seed(facts.config))),
             ('started', ', '.join(facts.started) or 'not known'),
             ('checkpoint', facts.checkpoint.name if facts.checkpoint else 'none')]
    source = facts.result.get('checkpoint') or {}
    if source:
        rows.append(('evaluated or started from', f"{source.get('name')}, SHA-256 {source.get('sha256')}"))
    rows += [(name, value) for name, value in facts.environment.items()]
    if not facts.environment:
        page.missing('No log states the versions that the run was done with.')
    rows.append(('this page', f'written by mmactclr {__version__}'))
    page.table(['', ''], [[name, str(value)] for name, value in rows])
    if facts.config_file is not None and facts.config is not None and facts.config.get('train_cfg'):
        if facts.command:
            page.text('It was started by')
            page.code(facts.command)
        page.text('The same again, from the config that it left with all overrides:')
        # the config of a run that went on names the checkpoint that it went on from
        anew = ' --cfg-options resume=False load_from=None' if facts.config.get('resume') else ''
        page.code(f'python tools/train.py {facts.config_file} --work-dir NEW_WORK_DIR{anew}')


def _summary(cfg: Config) -> dict[str, Any]:
    """The lines of a config that tell runs apart."""
    model = cfg.get('model') if isinstance(cfg.get('model'), dict) else {}
    branch = model.get('branch', model)
    streams = (model.get('data_preprocessor') or branch.get('data_preprocessor') or {}).get('streams')
    backbone, optim = branch.get('backbone') or {}, cfg.get('optim_wrapper') or {}
    layout, optimizer = cfg.get('layout'), optim.get('optimizer') or {}
    schedulers = cfg.get('param_scheduler') or []
    found = {
        'method': ' of '.join(str(part.get('type')) for part in ([model] if branch is model else [model, branch])),
        'streams': ', '.join(streams or model.get('streams') or [branch.get('stream', 'joint')]),
        'encoder': ' '.join(map(str, filter(None, [backbone.get('type'), backbone.get('channels')]))),
        'joints': layout.get('name') if isinstance(layout, dict) else layout,
        'frames, persons': f"{cfg.get('num_frames')}, {cfg.get('max_persons')}",
        'epochs': (cfg.get('train_cfg') or {}).get('max_epochs'),
        'epochs of stage one and two': branch.get('stage_epochs'),
        'batch size': (cfg.get('train_dataloader') or {}).get('batch_size'),
        'optimiser': ', '.join(f'{name} {value}' for name, value in optimizer.items()),
        'schedule': ', '.join(str(each.get('type')) for each in
                              (schedulers if isinstance(schedulers, (list, tuple)) else [schedulers])),
        'precision': 'bf16 in encoders' if optim.get('type') == 'AutocastOptimWrapper' else 'fp32' if optim else None,
        'started from': cfg.get('init_from') or None}
    return {name: value for name, value in found.items() if value not in (None, '', 'None')}


def _seed(cfg: Config | None) -> Any:
    return (cfg.get('randomness') or {}).get('seed', 'not known') if cfg is not None else 'not known'


def _results(page: HtmlPage, facts: RunFacts) -> None:
    page.section('Results')
    rows = facts.scores()
    if not rows:
        page.missing('There are no results to show.')
        return
    what = {'test': 'Test', 'val': 'Validation at the end of the training'}[facts.mode or 'test']
    page.text(f"{what} after epoch {facts.result.get('epoch')}; top-1 accuracy in % unless the name says otherwise.")
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    page.table(['', *columns], [[name, *(row.get(column) for column in columns)] for name, row in rows.items()])
    if list(rows) == [OWN]:
        page.missing('Only the run itself was evaluated, not what costs nothing: raw coordinates, joint velocity, an '
                     'untrained encoder. tools/test.py with this work dir adds them.')
    own = rows[OWN] if OWN in rows else {}
    for column in columns:
        others = {name: row[column] for name, row in rows.items() if name != OWN and column in row}
        if column in own and others:
            best = max(others, key=others.__getitem__)
            ahead = own[column] - others[best]
            page.text(f'{column}: {own[column]:.1f}, {abs(ahead):.1f} points {"above" if ahead >= 0 else "below"} the '
                      f'best baseline, {best} ({others[best]:.1f}).')
    protocols = [', '.join(f'{name} {value}' for name, value in each.items())
                 for each in facts.result.get('protocol') or ()]
    if protocols:
        page.text('Protocol: ' + '; '.join(protocols) + '.')


def _classes(page: HtmlPage, facts: RunFacts, pictures: Path) -> None:
    folder = facts.work_dir / REPORTS
    found = {path.name.removesuffix(CONFUSION): path for path in sorted(folder.glob(f'*{CONFUSION}'))}
    if not found:
        raise DataError(f'{folder} has no *{CONFUSION}; a test, or a training that ends with an evaluation, writes it')
    name = next((each for each in _PREFERRED if each in found), next(iter(found)))
    classes, counts = read_confusion(found[name])
    totals = counts.sum(1)
    page.text(f'Score {name}: of {int(totals.sum())} sequences {int(np.trace(counts))} are right. Other scores: '
              f'{", ".join(sorted(set(found) - {name})) or "none"} (*{CLASSES} and *{CONFUSION} in {REPORTS}/).')
    order = np.argsort([counts[k, k] / totals[k] if totals[k] else 2. for k in range(len(classes))], kind='stable')
    page.table(['class, worst first', 'sequences', 'right, %'],
               [[classes[k], str(totals[k]), float(100 * counts[k, k] / totals[k]) if totals[k] else None]
                for k in order], bar=2)
    wrong = counts - np.diag(np.diag(counts))
    most = [divmod(int(at), len(classes)) for at in np.argsort(-wrong, axis=None, kind='stable')[:_CONFUSIONS]]
    page.text('Most frequent confusions:')
    page.table(['truth', 'taken for', 'times', 'of'], [[classes[i], classes[j], str(wrong[i, j]), str(totals[i])]
                                                      for i, j in most if wrong[i, j]])
    page.picture(draw_confusion(classes, counts, pictures / 'confusion.png'),
                 f'Confusion matrix of {name}: rows are the truth, in percent of each row.')


def _look_inside(page: HtmlPage, facts: RunFacts, options: Mapping[str, Any] | None, pictures: Path,
                 examples: int) -> None:
    """The sections that need model and data."""
    titles = ('Actionlets', 'Nearest neighbours', 'Most confident mistakes')
    try:
        model, dataset = _open(facts, options)
    except _EXPECTED as error:
        for title in titles:
            page.section(title)
            page.missing(f'Not available, as model and data cannot be opened: {" ".join(str(error).split())}')
        return
    checksum = (facts.result.get('data') or {}).get('checksum')
    if checksum and checksum != dataset.metainfo['checksum']:
        page.missing(f"The data at {dataset.metainfo['data_root']} are not those that were evaluated: their SHA-256 is "
                     f"{dataset.metainfo['checksum']}.")
    _part(page, titles[0], lambda: _actionlets(page, model, dataset, pictures, examples))
    verdicts: list[SequenceVerdicts] = []

    def neighbours() -> None:
        verdicts.append(look_at_tests(model, dataset))
        _neighbours(page, verdicts[0], dataset, pictures)

    _part(page, titles[1], neighbours)
    _part(page, titles[2], lambda: _mistakes(page, verdicts, dataset, pictures))


def _open(facts: RunFacts, options: Mapping[str, Any] | None) -> tuple[BaseAlgorithm, SkeletonDataset]:
    if facts.config_file is None or facts.checkpoint is None:
        raise DataError('there is no ' + ('config' if facts.config_file is None else 'checkpoint') + ' in the work dir')
    cfg = load_config(facts.config_file, options)
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader')
    if not loader:
        raise DataError(f'{facts.config_file} names no data to evaluate on')
    with explain_build_errors(cfg.filename):
        dataset = DATASETS.build(dict(loader['dataset'], subset='both'))
    if not hasattr(dataset, 'role') or not dataset.metainfo.get('classes'):
        raise DataError(f'{type(dataset).__name__} at {cfg.get("data_root")} has no labelled sequences to show')
    return init_model(cfg, facts.checkpoint), dataset


def _actionlets(page: HtmlPage, model: BaseAlgorithm, dataset: SkeletonDataset, pictures: Path, examples: int) -> None:
    layout = dataset.metainfo['layout']
    sheet = draw_actionlet_sheet(find_actionlets(model, dataset, examples), layout, pictures / 'actionlets.png')
    page.picture(sheet, 'A sequence of each of some classes: frames in the colours of the actionlet, and the actionlet '
                        'over time. Every row is relative to its maximum.')
    shares = actionlet_class_shares(model, dataset)
    heat = draw_joint_heat_map(np.stack([each.joints for each in shares.values()]), list(shares), layout,
                               pictures / 'joints.png')
    page.picture(heat, 'Mean actionlet of every class on the joints, all sequences of both parts.')


def _neighbours(page: HtmlPage, found: SequenceVerdicts, dataset: SkeletonDataset, pictures: Path) -> None:
    page.text('Some test sequences, each above the training sequences whose features are nearest (cosine similarity).')
    for right in (True, False):
        chosen = found.some(right, _QUERIES, dataset.labels)
        kind = 'right' if right else 'wrong'
        if not len(chosen):
            page.text(f'There is no test sequence whose nearest neighbour is of the {kind} class.')
            continue
        rows = [_rows(dataset, found, int(q), found.neighbours[q]) for q in chosen]
        page.picture(draw_contact_sheet(rows, pictures / f'{kind}.png', _FRAMES),
                     f'Nearest neighbour of the {kind} class. ' + '; '.join(each.title for each in rows) + '.')


def _mistakes(page: HtmlPage, verdicts: list[SequenceVerdicts], dataset: SkeletonDataset, pictures: Path) -> None:
    if not verdicts:
        raise DataError('the test sequences could not be compared, see above')
    (found,) = verdicts
    worst = found.worst(_WORST)
    wrong = int((found.prediction != found.truth).sum())
    page.text(f'By the {found.how}, {wrong} of {len(found.queries)} test sequences are wrong.')
    if not len(worst):
        return
    truth, taken = (class_names(dataset, each[worst]) for each in (found.truth, found.prediction))
    page.table(['sequence', 'truth', 'taken for', 'confidence, %'], [
        [_name(dataset, found.queries[q]), true, other, float(100 * found.confidence[q])]
        for q, true, other in zip(worst, truth, taken, strict=True)])
    rows = [_rows(dataset, found, int(q), found.neighbours[q][:1]) for q in worst]
    page.picture(draw_contact_sheet(rows, pictures / 'mistakes.png', _FRAMES),
                 'The wrong ones of the highest confidence, each above its nearest training sequence.')


def _rows(dataset: SkeletonDataset, found: SequenceVerdicts, q: int, neighbours: np.ndarray) -> SequenceRows:
    """A test sequence and its neighbours, as rows of a contact sheet."""
    positions = [int(found.queries[q]), *map(int, neighbours)]
    batch, layout = dataset.__getitems__(positions), dataset.metainfo['layout']
    names = class_names(dataset, dataset.labels[positions])
    clips = []
    for i, (position, name) in enumerate(zip(positions, names, strict=True)):
        label = 'test' if i == 0 else f'neighbour {i}, {found.similarity[q, i - 1]:.3f}'
        agrees = '' if i == 0 else 'same class: ' if name == names[0] else 'other class: '
        clip = prepared_clip(batch['inputs'][i], batch['mask'][i].to(torch.bool), layout)
        clips.append(replace(clip, label=label, notes=(agrees + name, _name(dataset, position))))
    return SequenceRows(f'{names[0]}  |  {_name(dataset, positions[0])}', clips)


def _name(dataset: SkeletonDataset, position: int) -> str:
    return dataset.name_of(int(dataset.index[position]))
