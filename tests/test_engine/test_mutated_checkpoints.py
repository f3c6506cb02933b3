"""Damaged and hostile checkpoints on every path a user has: refused in the name of the file, or as good as intact."""
import random
import shutil
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmactclr.apis import build_runner, init_model, run_test, run_training
from mmactclr.apis.run import _read_checkpoint
from mmactclr.engine.checkpoints.official_files import convert_file, revert_file
from mmactclr.engine.hooks import EncoderInitHook, NonFiniteHook
from mmactclr.errors import MMActCLRError

from .mutations import BYTES, CONTENT, MARKER, hostile_files
from .public_samples import pretext

NO_VALIDATION = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)
CONFIGS = {'moco': 'moco_joint_ntu60_xsub', 'actclr': 'actclr_joint_ntu60_xsub', 'three': 'actclr_3s_ntu60_xsub'}
LINEAR = 'benchmarks/linear/linear_utdmhad_xsub.py'
NAMES = (*CONFIGS, 'linear')
# mutant counts, and how many were refused on some path, by operator
MADE: Counter = Counter()
REFUSED: Counter = Counter()


@dataclass
class Run:
    """A finished tiny run: the checkpoint of its first epoch, and runners to load mutants of it into."""

    checkpoint: Path
    trainer: Runner
    tester: Runner
    config: Callable[[], Any]
    batch: Any

    def check(self, path: Path, resume: bool) -> None:
        """What run_training and run_test do before they build anything."""
        _read_checkpoint(Config(dict(load_from=str(path), resume=resume)))

    def load(self, runner: Runner, path: Path, resume: bool) -> None:
        """What the runner does with the file after that."""
        runner._load_from, runner._resume = str(path), resume
        runner.resume(str(path)) if resume else runner.load_checkpoint(str(path))


@pytest.fixture(scope='module')
def runs(tiny_archive, tiny_config, tiny_options, tmp_path_factory) -> dict[str, Run]:
    """The three pretraining runs and a classifier, by name."""
    folder = tmp_path_factory.mktemp('runs')
    made: dict[str, Run] = {}

    def add(name: str, config: Callable[[], Any]) -> None:
        trainer = run_training(config(), folder / name)
        test = config()
        for field in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler', *NO_VALIDATION):
            test[field] = None
        made[name] = Run(folder / name / 'epoch_1.pth', trainer, build_runner(test, folder / f'{name}_test'), config,
                         next(iter(trainer.train_dataloader)))

    for name, config in CONFIGS.items():
        add(name, lambda config=config: tiny_config(tiny_archive, config, **NO_VALIDATION))

    def linear() -> Any:
        from mmactclr.apis.run import _take_encoder
        cfg = tiny_config(tiny_archive)
        from mmactclr.utils import load_config
        options = {'data_root': str(tiny_archive), 'init_from': str(made['moco'].checkpoint), 'remap': False,
                   'train_dataloader.batch_size': 6, 'train_cfg.max_epochs': 2, 'train_cfg.val_interval': 9,
                   'default_hooks.checkpoint.interval': 1, 'default_hooks.checkpoint.max_keep_ckpts': 9,
                   'experiment_name': f'linear_{cfg.experiment_name}', **NO_VALIDATION}
        cfg = load_config(LINEAR, options)
        _take_encoder(cfg, options)
        return cfg

    add('linear', linear)
    return made


def weight_of(runner: Runner) -> torch.Tensor:
    """All parameters of a run in one number each, and where it stands."""
    sums = [parameter.detach().double().sum() for parameter in runner.model.parameters()]
    return torch.stack([*sums, torch.tensor(float(runner.iter)).double()])


def paths_of(run: Run, path: Path, folder: Path) -> list[Callable[[], Any]]:
    """What a user can do with a checkpoint: :data:`WAYS`."""
    def resume() -> None:
        run.check(path, resume=True)
        before = weight_of(run.trainer)
        try:
            run.load(run.trainer, path, resume=True)
        except MMActCLRError:
            # refused before anything of it was taken over
            assert torch.equal(before, weight_of(run.trainer))
            raise
        for branch in run.trainer.model.branches().values():
            # a new process has taken no step yet
            for name in {'last_iteration', 'pending_keys'} & set(vars(branch)):
                setattr(branch, name, None)
        for hook in run.trainer.hooks:
            if isinstance(hook, NonFiniteHook):
                # its guard was taken away at the end of the run
                hook.before_train(run.trainer)
        run.trainer.train_loop.run_iter(0, run.batch)
        for scheduler in run.trainer.param_schedulers:
            scheduler.step()
        run.trainer.log_processor.get_log_after_iter(run.trainer, 0, 'train')
        assert torch.isfinite(weight_of(run.trainer)).all()

    def load_from() -> None:
        run.check(path, resume=False)
        run.load(run.trainer, path, resume=False)

    def test() -> None:
        run.check(path, resume=False)
        run.load(run.tester, path, resume=False)
        run.tester.model.eval()
        outputs = run.tester.model.test_step(run.batch)
        assert all(torch.isfinite(value).all() for value in outputs[0].features.values())

    def init_from() -> None:
        run.trainer._resume = False
        EncoderInitHook(str(path)).before_train(run.trainer)

    return [resume, load_from, test, init_from, lambda: init_model(checkpoint=path),
            lambda: init_model(run.trainer.cfg, path), lambda: revert_file(path, folder / 'public.pt', overwrite=True)]


RESUME, LOAD, TEST, INIT, MODEL, CONFIGURED, PUBLIC = WAYS = (
    'run_training(resume=)', 'load_from', 'run_test', 'init_from', 'init_model', 'init_model with a config',
    'back to public names')


def use(run: Run, path: Path, folder: Path, operator: str, ways: Sequence[str] = WAYS) -> dict[str, str]:
    """Try it in several ways; the refusals by way, each of which names the file. Nothing was executed."""
    refusals, attempts = {}, dict(zip(WAYS, paths_of(run, path, folder), strict=True))
    for way in ways:
        attempt = attempts[way]
        try:
            attempt()
        except MMActCLRError as error:
            refusals[way] = str(error)
            assert path.name in str(error), f'{way}: {error}'
            assert len(str(error)) < 1500 and '\x1b' not in str(error), f'{way}: {error}'
    assert not list(folder.glob(f'**/{MARKER}')), 'something was executed'
    MADE[operator] += 1
    REFUSED[operator] += bool(refusals)
    return refusals


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Where a hostile file would leave its marker."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize('name', NAMES)
def test_an_intact_checkpoint_is_good_for_everything(runs, name, folder):
    """The harness itself: what the refusals below are measured against."""
    intact = folder / 'intact.pth'
    shutil.copy(runs[name].checkpoint, intact)
    refusals = use(runs[name], intact, folder, 'intact')
    # a file of one stream goes into a run of one, a classifier has no public counterpart
    assert set(refusals) <= ({PUBLIC} if name == 'linear' else set()), refusals


MUST_REFUSE = {operator for operator in BYTES} - {'bit flipped anywhere', 'legacy format'}


@pytest.mark.parametrize('operator', BYTES)
def test_damaged_bytes(runs, folder, operator):
    count, write = BYTES[operator]
    for number in range(count):
        rng = random.Random(zlib.crc32(f'{operator} {number}'.encode()))
        run = runs[NAMES[number % len(NAMES)]]
        path = folder / f'mutant_{number}.pth'
        write(run.checkpoint, path, rng)
        # all of them read the file alike, so two of them are enough for those after the first
        ways = WAYS if number == 0 else (RESUME, WAYS[1 + number % 6])
        refusals = use(run, path, folder, operator, ways)
        if operator in MUST_REFUSE and not (operator == 'block of zeros' and path.read_bytes() ==
                                            run.checkpoint.read_bytes()):
            assert len(refusals) == len(ways), (number, refusals)
        elif operator == 'legacy format':
            assert not refusals


def test_a_flipped_bit_that_is_let_pass_is_no_weight(runs, folder):
    """Whatever is read of an archive with one flipped bit is bit for bit what was written."""
    from mmactclr.engine.checkpoints import read_checkpoint
    intact = torch.load(runs['moco'].checkpoint, weights_only=True)
    content, rng, path = runs['moco'].checkpoint.read_bytes(), random.Random(3), folder / 'flipped.pth'
    passed = 0
    for _ in range(60):
        damaged = bytearray(content)
        damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            found = read_checkpoint(path)
        except MMActCLRError as error:
            assert 'flipped.pth' in str(error)
            continue
        passed += 1
        assert all(torch.equal(value, intact['state_dict'][name]) for name, value in found['state_dict'].items())
        assert all(torch.equal(moments['momentum_buffer'], intact['optimizer']['state'][i]['momentum_buffer'])
                   for i, moments in found['optimizer']['state'].items())
        assert found['meta'] == intact['meta']
    # the space between parts, a third of such a small archive, holds nothing
    assert 0 < passed < 30


def test_hostile_pickles(runs, folder):
    (folder / 'files').mkdir()
    for place, path in hostile_files(runs['moco'].checkpoint, folder / 'files'):
        ways = WAYS if place.startswith('os.system') else (RESUME, MODEL)
        refusals = use(runs['moco'], path, folder, 'hostile pickle', ways)
        assert len(refusals) == len(ways), (place, refusals)
        assert all('cannot be read' in text and 'never executed' in text for text in refusals.values()), place


CASES = [(kind, name) for kind, changes in CONTENT.items() for name in changes]
# nothing in them that a run or a model needs
HARMLESS = {'half precision', 'double precision', 'names of a wrapper', 'seed another', 'data set a tensor',
            'data set with tensors', 'data set missing', 'time a dict', 'config None', 'state empty',
            'keys of nothing', 'iter text, which the run knows better', 'source hostile',
            'model fetched', 'layout a path'}


# what meets these parts of a file at all, and one that does not
USED = {'weights': WAYS, 'meta': (RESUME, TEST, LOAD), 'optimizer': (RESUME, TEST), 'schedules': (RESUME, TEST),
        'message hub': (RESUME, TEST), 'card': (RESUME, TEST, MODEL), 'state of hooks': (RESUME, TEST)}


@pytest.mark.filterwarnings('ignore:torch.quantize')
@pytest.mark.parametrize('kind, name', CASES, ids=[': '.join(case) for case in CASES])
def test_damaged_content(runs, folder, kind, name):
    number = CASES.index((kind, name))
    run = runs['three' if number % 6 == 0 else NAMES[number % 2]]
    content = torch.load(run.checkpoint, weights_only=True)
    CONTENT[kind][name](content, random.Random(zlib.crc32(name.encode())))
    path = folder / 'mutant.pth'
    torch.save(content, path)
    refusals = use(run, path, folder, kind, USED[kind])
    if name not in HARMLESS and not name.startswith('names swapped'):
        assert refusals, 'nothing was refused'
    everywhere = {'a log of a trillion', 'iter far'}
    if kind in ('optimizer', 'schedules', 'message hub', 'state of hooks') and name not in HARMLESS | everywhere:
        # what is no part of the model hinders nobody who takes the model
        assert set(refusals) == {RESUME}, refusals


def test_public_weights(runs, tmp_path, folder):
    """The converter, on the same damage of bytes and on hostile files."""
    state = pretext()
    torch.save(state, folder / 'public.pt')
    for operator in ('truncated', 'bit flipped in a tensor', 'part missing', 'packed bomb', 'text file', 'folder'):
        path = folder / f'{operator.replace(" ", "_")}.pt'
        BYTES[operator][1](folder / 'public.pt', path, random.Random(5))
        with pytest.raises(MMActCLRError) as error:
            convert_file(path, folder / 'ours.pth')
        assert path.name in str(error.value) and not (folder / 'ours.pth').exists()
        MADE['public weights'] += 1
        REFUSED['public weights'] += 1
    torch.save({**state, 'queue': torch.zeros(1).expand(10 ** 6, 10 ** 6)}, folder / 'vast.pt')
    with pytest.raises(MMActCLRError, match=r'vast\.pt.*claims 1,000,000,000,000 values'):
        convert_file(folder / 'vast.pt', folder / 'ours.pth')


def test_a_best_checkpoint_of_somebody_else_is_not_deleted(runs, folder):
    """mmengine removes what a checkpoint calls its best, file or folder, once there is a better one."""
    run, important = runs['moco'], folder / 'important'
    important.mkdir()
    own = str(Path(run.trainer.work_dir) / 'best_knn_epoch_1.pth')
    elsewhere = str(folder / 'best_x.pth')
    for value, kept in ((str(important), False), (elsewhere, False), (own, True), (7, False), ('a\0b.pth', False)):
        content = torch.load(run.checkpoint, weights_only=True)
        content['message_hub']['runtime_info']['best_ckpt'] = value
        torch.save(content, folder / 'mutant.pth')
        run.trainer.message_hub.runtime_info.pop('best_ckpt', None)
        run.load(run.trainer, folder / 'mutant.pth', resume=True)
        assert run.trainer.message_hub.runtime_info.get('best_ckpt') == (value if kept else None)


END_TO_END = [('bytes', 'bit flipped in a tensor'), ('bytes', 'truncated'), ('weights', 'shape cut'),
              ('weights', 'NaN'), ('meta', 'epoch text'), ('optimizer', 'a moment of another shape'),
              ('schedules', 'a method replaced'), ('message hub', 'kept checkpoints elsewhere'),
              ('card', 'model a function'), ('message hub', 'keys of nothing')]


@pytest.mark.parametrize('kind, name', END_TO_END, ids=[': '.join(case) for case in END_TO_END])
def test_end_to_end(runs, folder, kind, name):
    """The same files given to run_training and run_test themselves."""
    run, path = runs['moco'], folder / 'mutant.pth'
    if kind == 'bytes':
        BYTES[name][1](run.checkpoint, path, random.Random(1))
    else:
        content = torch.load(run.checkpoint, weights_only=True)
        CONTENT[kind][name](content, random.Random(1))
        torch.save(content, path)
    outcomes = {}
    for way in ('resume', 'test'):
        try:
            if way == 'resume':
                run_training(run.config(), folder / way, resume=str(path))
            else:
                run_test(run.config(), path, folder / way)
            outcomes[way] = 'fine'
        except MMActCLRError as error:
            assert path.name in str(error)
            outcomes[way] = 'refused'
            assert not list(folder.glob('**/*_*.pth')), 'a refused run wrote a checkpoint'
    # a config that names its model needs no card
    resumed = 'fine' if name in HARMLESS or kind == 'card' else 'refused'
    tested = 'fine' if kind in ('optimizer', 'schedules', 'message hub', 'card') else 'refused'
    assert outcomes == {'resume': resumed, 'test': tested}
    assert not list(folder.glob(f'**/{MARKER}'))


def test_at_least_two_hundred_mutants():
    """The table of docs/untrusted_files.md; run the whole file with -s to see it."""
    total = sum(MADE.values()) - MADE['intact']
    groups: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for operator, count in MADE.items():
        groups[operator][0] += count
        groups[operator][1] += REFUSED[operator]
    print()
    for operator, (count, refused) in groups.items():
        print(f'| {operator} | {count} | {refused} | {count - refused} |')
    print('total', total)
    if MADE['intact'] == len(NAMES) and MADE['card'] and MADE['folder']:
        assert total >= 200
