"""Every published model: its card, its checksum, its use by name, its numbers."""
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from mmactclr.apis import SkeletonInferencer, init_model, list_models, load_for_test
from mmactclr.datasets.converters.synthetic import SyntheticConverter
from mmactclr.datasets.synthetic import Nuisance
from mmactclr.engine.checkpoints import ModelCard, card_of_config, read_checkpoint, state_of
from mmactclr.engine.checkpoints.publishing import publish_model
from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import DATASETS
from mmactclr.structures import get_layout
from mmactclr.utils import load_config
from mmactclr.utils.zoo import ZOO, find_checkpoint, list_zoo, read_zoo_card, verified

ROOT = Path(__file__).resolve().parents[2]
NAMES = list_zoo()
# one of them, where any will do
NAME = 'actclr_joint_synthetic'
PAGE = (ROOT / 'docs/model_zoo.md').read_text()


@pytest.fixture(scope='module')
def synthetic(tmp_path_factory) -> Path:
    """The synthetic set as the cards mean it."""
    folder = tmp_path_factory.mktemp('zoo') / 'synthetic'
    nuisances = {name: getattr(Nuisance(), name) for name in Nuisance.__dataclass_fields__}
    SyntheticConverter().convert('-', folder, **nuisances)
    return folder


def prepared(data_root: Path, config: str, part: str, **options) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Joints, mask and labels of a part of an archive, as the config of a model prepares them."""
    cfg = load_config(config, {'data_root': str(data_root), **options})
    dataset = DATASETS.build(dict(cfg.test_dataloader.dataset, subset=part))
    batch = dataset.__getitems__(list(range(len(dataset))))
    return batch['inputs'], batch['mask'], torch.as_tensor(np.asarray(dataset.labels))


def features(model: torch.nn.Module, joints: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        parts = zip(joints.split(64), mask.split(64), strict=True)
        return torch.cat([model.extract(*part)['backbone'] for part in parts])


def test_the_zoo_is_small_and_whole():
    assert len(NAMES) >= 3
    assert sorted(path.name for path in ZOO.iterdir()) == sorted(f'{name}{end}' for name in NAMES
                                                                 for end in ('.pth', '.yml'))
    assert sum(path.stat().st_size for path in ZOO.iterdir()) < 25 * 10 ** 6
    assert list_models(pretrained=True) == NAMES and list_models('moco*', pretrained=True) == [
        name for name in NAMES if name.startswith('moco')]


@pytest.mark.parametrize('name', NAMES)
def test_the_card_is_complete_and_true(name):
    card = read_zoo_card(name)
    content = (ZOO / f'{name}.pth').read_bytes()
    assert card['name'] == name
    assert (card['sha256'], card['bytes']) == (hashlib.sha256(content).hexdigest(), len(content))
    cfg = load_config(card['config'], card['recipe'].get('options'))
    assert card['recipe']['epochs'] == cfg.train_cfg.max_epochs
    assert card['recipe']['batch_size'] == cfg.train_dataloader.batch_size
    assert card['recipe']['seed'] == cfg.randomness.seed
    model = init_model(name)
    assert card['encoder_values'] == sum(value.numel() for value in model.backbone.parameters())
    assert (card['method'], card['streams'], card['num_frames'], card['max_persons']) == (
        type(model).__name__, list(model.branches()), cfg.num_frames, cfg.max_persons)
    assert card['layout'] == model.card.joint_layout().name == cfg.layout
    # what the file says of its model builds what the config builds, and views and preparation are those of the config
    theirs, ours = model.card, card_of_config(cfg)
    assert theirs.preparation == ours.preparation
    assert theirs.model['data_preprocessor'] == ours.model['data_preprocessor']
    assert [(key, value.shape) for key, value in model.state_dict().items()] == [
        (key, value.shape) for key, value in ours.build(name).state_dict().items()]
    assert not re.search(r'\b(19|20)\d\d-\d\d|\b20[2-9]\d\b', (ZOO / f'{name}.yml').read_text()), 'a card has no date'
    assert card['trained_on']['labels'] == 'none'


@pytest.mark.parametrize('name', NAMES)
def test_the_page_has_its_numbers(name):
    card = read_zoo_card(name)
    first, *measured = (line for line in PAGE.splitlines() if line.startswith(f'| `{name}` |'))
    assert f'| {card["trained_on"]["sequences"]}, none | {card["recipe"]["epochs"]} |' in first
    assert len(measured) == len(card['results'])
    for result in card['results']:
        row = next(line for line in measured if f'{result["part"]} |' in line)
        metrics = [f'{result["metrics"][metric]:.1f}' for metric in (
            'knn/backbone_k1', 'knn/backbone_k20', 'linear/backbone_top1')]
        assert f'| {" / ".join(metrics)} / ' in row, result['part']
    for command in [*card['command'], *(each['command'] for each in card['results'])]:
        assert command in PAGE, command


@pytest.mark.parametrize('name', NAMES)
def test_the_file_holds_what_is_used_and_no_more(name):
    checkpoint = read_checkpoint(name)
    assert set(checkpoint) == {'meta', 'state_dict'} and set(checkpoint['meta']) == {'mmactclr'}
    parts = {part for key in state_of(checkpoint) for part in key.split('.')}
    assert not parts & {'backbone_k', 'projector_k', 'memory'} and 'backbone' in parts
    assert ModelCard.of(checkpoint, name) is not None


@pytest.mark.parametrize('name', NAMES)
def test_it_works_by_name_on_recordings_of_its_joints(name, tmp_path, monkeypatch):
    """From an empty folder: embeddings are finite, differ, and do not depend on what else is in the batch."""
    monkeypatch.chdir(tmp_path)
    inferencer = SkeletonInferencer(name)
    layout = get_layout(read_zoo_card(name)['layout'])
    rng = np.random.default_rng(0)
    recordings = [rng.normal(0, .3, (1, 40, layout.num_joints, 3)).cumsum(1).astype(np.float32) * .1 for _ in range(3)]
    found = np.stack([inferencer(each)[0].embedding for each in recordings])
    assert np.isfinite(found).all() and len({tuple(row) for row in found.round(4)}) == 3
    if read_zoo_card(name)['method'] == 'ActCLR':
        assert inferencer(recordings[0])[0].actionlet is not None


@pytest.mark.parametrize('name', [name for name in NAMES if 'synthetic' in name])
def test_its_numbers_come_out_again(name, synthetic):
    """Nearest neighbours, written out, on the published file and the set that anybody can make."""
    card, model = read_zoo_card(name), init_model(name)
    bank, queries = (prepared(synthetic, card['config'], part) for part in ('train', 'test'))
    assert (len(bank[2]), len(queries[2])) == (card['trained_on']['sequences'], 272)
    known, asked = (torch.nn.functional.normalize(features(model, *part[:2]).double()) for part in (bank, queries))
    similarity = asked @ known.T
    first = bank[2][similarity.argmax(1)]
    votes = torch.zeros(len(asked), 17, dtype=torch.float64)
    near, where = similarity.topk(20)
    votes.scatter_add_(1, bank[2][where], (near / .1).exp())
    for metric, predicted in (('knn/backbone_k1', first), ('knn/backbone_k20', votes.argmax(1))):
        accuracy = 100 * (predicted == queries[2]).double().mean().item()
        # one sequence more or less, where another machine rounds otherwise
        assert accuracy == pytest.approx(card['results'][0]['metrics'][metric], abs=.4), metric
        assert accuracy > card['results'][0]['baselines']['untrained_encoder'][metric] + 10


# of each that was trained on recordings, a file of them, what to take of it, and the config that prepares it
RECORDED = {'actclr_joint_uiprmd': ('ui_prmd', ['is_correct=1'], 'actclr_joint_uiprmd_xsub')} | {
    name: ('utd_mhad', [], 'checkpoint_utdmhad_xsub') for name in NAMES if name.endswith('_pool')}


@pytest.mark.parametrize('name', RECORDED)
def test_numbers_on_recordings_come_out_again(name, real_data_dir, tmp_path):
    from mmactclr.datasets.converters.flat import FlatConverter
    file, where, config = RECORDED[name]
    FlatConverter().convert(real_data_dir / f'{file}.npz', tmp_path / 'set', where=where)
    card, model = read_zoo_card(name), init_model(name)
    shape = {field: card[field] for field in ('num_frames', 'max_persons', 'layout')}
    bank, queries = (prepared(tmp_path / 'set', config, part, remap=True, **shape) for part in ('train', 'test'))
    known, asked = (torch.nn.functional.normalize(features(model, *part[:2]).double()) for part in (bank, queries))
    accuracy = 100 * (bank[2][(asked @ known.T).argmax(1)] == queries[2]).double().mean().item()
    assert accuracy == pytest.approx(card['results'][0]['metrics']['knn/backbone_k1'], abs=.4)


def test_everything_trained_on_recordings_is_measured_again():
    assert set(RECORDED) == {name for name in NAMES if 'synthetic' not in name}


def test_a_name_stands_for_a_checkpoint_wherever_one_is_read(synthetic):
    model, cfg = load_for_test('checkpoint_synthetic_xsub', NAME, {'data_root': str(synthetic)})
    assert cfg.layout['name'] == read_zoo_card(NAME)['layout'] and not model.training
    assert find_checkpoint(NAME) == ZOO / f'{NAME}.pth'


def test_a_file_of_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).write_text('mine')
    assert find_checkpoint(NAME) == Path(NAME)
    with pytest.raises(DataError, match='cannot be read'):
        read_checkpoint(NAME)


def test_damaged_files_are_refused(tmp_path):
    for end in ('.pth', '.yml'):
        shutil.copy(ZOO / f'{NAME}{end}', tmp_path)
    assert verified(NAME, tmp_path).is_file()
    content = bytearray((tmp_path / f'{NAME}.pth').read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / f'{NAME}.pth').write_bytes(content)
    with pytest.raises(DataError, match='are damaged: their SHA-256.*install mmactclr again'):
        verified(NAME, tmp_path)
    (tmp_path / f'{NAME}.pth').unlink()
    with pytest.raises(DataError, match='cannot be read'):
        verified(NAME, tmp_path)


def test_a_damaged_file_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr('mmactclr.utils.zoo.verified', lambda name: verified(name, tmp_path))
    for end in ('.pth', '.yml'):
        shutil.copy(ZOO / f'{NAME}{end}', tmp_path)
    (tmp_path / f'{NAME}.pth').write_bytes(b'')
    with pytest.raises(DataError, match='damaged'):
        init_model(NAME)


@pytest.mark.parametrize('field', ['licence', 'trained_on', 'sha256', 'limits', 'results'])
def test_a_card_without_a_field_is_refused(field, tmp_path):
    card = read_zoo_card(NAME)
    for broken in ({**card, field: None}, {key: value for key, value in card.items() if key != field}):
        (tmp_path / f'{NAME}.yml').write_text(yaml.safe_dump(broken))
        with pytest.raises(DataError, match=field):
            read_zoo_card(NAME, tmp_path)


@pytest.mark.parametrize(('call', 'error'), [
    (lambda word: init_model(word), ConfigError), (lambda word: init_model(checkpoint=word), DataError)])
def test_a_mistyped_name_is_answered_with_the_nearest(call, error):
    with pytest.raises(error, match=f'similar name: .*{NAME}'):
        call(NAME.replace('synthetic', 'syntetic'))


# publishing

def test_publishing_keeps_what_is_extracted(tmp_path, tiny_archive, tiny_config):
    """A run's checkpoint and the file made of it give the same features, and the card of the zoo is read as it is."""
    from mmactclr.apis import run_training
    cfg = tiny_config(tiny_archive, **{'train_cfg.max_epochs': 2})
    run_training(cfg, tmp_path / 'run')
    about = {key: value for key, value in read_zoo_card(NAME).items()} | {'name': 'tiny'}
    (tmp_path / 'about.yml').write_text(yaml.safe_dump(about))
    source = tmp_path / 'run' / 'epoch_2.pth'
    path = publish_model(source, tmp_path / 'about.yml', tmp_path / 'out')
    assert path.stat().st_size < source.stat().st_size / 2
    card = read_zoo_card('tiny', tmp_path / 'out')
    assert verified('tiny', tmp_path / 'out') == path and card['sha256'] != about['sha256']
    joints, mask = torch.randn(4, 2, 16, 20, 3), torch.ones(4, 2, dtype=torch.bool)
    first, second = (init_model(checkpoint=each) for each in (source, path))
    assert torch.equal(features(first, joints, mask), features(second, joints, mask))
    assert torch.equal(first.anchor, second.anchor)
    with pytest.raises(ConfigError, match='exists.*--overwrite'):
        publish_model(source, tmp_path / 'about.yml', tmp_path / 'out')


@pytest.mark.parametrize(('change', 'says'), [
    ({'summary': ''}, 'summary'), ({'name': 'a/b'}, 'name is'), ({'mood': 'good'}, 'mood'),
    ({'trained_on': {'data': 'x'}}, 'trained_on.licence'), ({'results': [{}]}, 'results.0.metrics')])
def test_a_description_that_is_none(change, says, tmp_path):
    path = tmp_path / 'about.yml'
    path.write_text(yaml.safe_dump(read_zoo_card(NAME) | change))
    with pytest.raises((ConfigError, DataError), match=says):
        publish_model(NAME, path, tmp_path)
    assert not list(tmp_path.glob('*.pth'))


def test_the_tool_says_it_in_one_line(tmp_path):
    (tmp_path / 'about.yml').write_text('name: [')
    done = subprocess.run([sys.executable, ROOT / 'tools/model_converters/publish_model.py', NAME,
                           tmp_path / 'about.yml', '--out', tmp_path], text=True, capture_output=True)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith('error: ') and 'cannot be read as YAML' in done.stderr
