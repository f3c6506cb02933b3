"""Public weights that are damaged, incomplete or of something else: refused in one line, nothing written."""
import os
import pickle
import re

import pytest
import torch

from mmactclr.engine.checkpoints.official import from_official, to_official
from mmactclr.engine.checkpoints.official_files import convert_file
from mmactclr.errors import ConfigError, DataError, MMActCLRError
from tests.test_engine.public_samples import encoder_weights, pretext, save, with_prefix


def change(**changes):
    def apply(state):
        state = dict(state)
        for name, value in changes.items():
            name = name.replace('__', '.')
            if value is None:
                del state[name]
            else:
                state[name] = value
        return state
    return apply


LINEAR_REFUSED = {
    'missing': (change(**{'encoder_q__st_gcn_networks__3__gcn__conv__weight': None}), r'3\.gcn\.conv\.weight missing'),
    'statistics': (change(**{'encoder_q__st_gcn_networks__3__tcn__0__running_var': None}),
                   r'1 weights are missing \(first: encoder_q\.st_gcn_networks\.3\.tcn\.0\.running_var'),
    'half a classifier': (change(encoder_q__fc__bias=None), 'classifier without fc.bias'),
    'strange tail': (change(encoder_q__fc__gate__scale=torch.ones(2)), r"unknown names behind.*fc\.gate\.scale"),
    'key encoder of nothing': (change(encoder_k__gate=torch.ones(2)), r"unknown names.*encoder_k\.gate"),
    'memory of no stream': (change(queue_motion=torch.ones(6, 32)), "unknown names.*queue_motion"),
    'even kernel': (lambda s: {k: v[:, :, :8] if v.shape[2:] == (9, 1) else v for k, v in s.items()},
                    '8 frames long, expected an odd number'),
    'flat kernel': (change(**{'encoder_q__st_gcn_networks__0__tcn__2__weight': torch.ones(8, 8)}),
                    r'has the shape \(8, 8\), expected 4 dimensions'),
    'no dimensions': (change(**{'encoder_q__st_gcn_networks__3__tcn__0__weight': torch.tensor(1.)}), 'expected 1 dim'),
    'gap': (lambda s: {k.replace('networks.9.', 'networks.12.'): v for k, v in s.items()}, r'are \[0, .*8, 12\]'),
    'no tensor': (change(encoder_q__A=3), 'encoder_q.A is no dense tensor'),
    'sparse': (lambda s: {**s, 'encoder_q.A': s['encoder_q.A'].to_sparse()}, 'encoder_q.A is no dense tensor'),
    'kind': (change(encoder_q__fc__bias=torch.ones(11, dtype=torch.long)), 'another kind of number'),
    'no residual': (change(**{'encoder_q__st_gcn_networks__4__residual__0__weight': None}), 'missing'),
    'extra': (change(decoder__weight=torch.ones(2)), "unknown names.*decoder.weight"),
    'extra in encoder': (change(encoder_q__attention__weight=torch.ones(2)), 'have no place'),
    'shape': (change(**{'encoder_q__st_gcn_networks__3__tcn__2__weight': torch.ones(4, 4, 9, 1)}), 'another shape'),
    'graph': (change(encoder_q__A=torch.rand(3, 25, 25)), 'graph A is none of'),
    'joints': (change(encoder_q__A=torch.rand(3, 20, 20)), r"layout 'ntu25' has 25 joints.*--layout"),
    'coordinates': (change(encoder_q__data_bn__weight=torch.ones(50)), 'data_bn.weight'),
    'key without query': (lambda s: {k.replace('_q', '_k'): v for k, v in s.items()}, 'no encoder_q'),
    'nan': (change(encoder_q__fc__bias=torch.full((11,), torch.nan)), 'not finite')}


@pytest.mark.parametrize('case', LINEAR_REFUSED)
def test_weights_that_do_not_fit_are_refused(tmp_path, case):
    weights = {**encoder_weights()[1], 'fc.weight': torch.randn(11, 48, 1, 1), 'fc.bias': torch.randn(11)}
    apply, message = LINEAR_REFUSED[case]
    with pytest.raises(MMActCLRError, match=message):
        convert_file(save(tmp_path, apply(with_prefix('encoder_q', weights))), tmp_path / 'ours.pth')
    assert [path.name for path in tmp_path.iterdir()] == ['public.pt']


@pytest.mark.parametrize('changes', [
    dict(queue_ptr=None), dict(queue_ptr=torch.tensor([32])), dict(queue=torch.ones(6)),
    dict(queue_ptr=torch.tensor([5.]))])
def test_a_damaged_memory_is_refused(tmp_path, changes):
    with pytest.raises(DataError, match='memory is damaged'):
        convert_file(save(tmp_path, change(**changes)(pretext())), tmp_path / 'ours.pth')


class Hostile:
    """Runs a command where it is unpickled without care."""

    def __reduce__(self):
        return os.mkdir, ('executed',)


@pytest.mark.parametrize('kind', ['truncated', 'hostile', 'text', 'empty', 'ours', 'list'])
def test_files_that_are_no_public_weights_are_refused(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = save(tmp_path, pretext())
    if kind == 'truncated':
        path.write_bytes(path.read_bytes()[:-5000])
    elif kind == 'hostile':
        path.write_bytes(pickle.dumps({'encoder_q.A': Hostile()}))
    elif kind in ('text', 'empty'):
        path.write_text('weights' if kind == 'text' else '')
    elif kind == 'list':
        torch.save([torch.ones(2)], path)
    else:
        torch.save({'backbone.adjacency': torch.ones(3, 25, 25)}, path)
    with pytest.raises(DataError, match='public.pt'):
        convert_file(path, tmp_path / 'ours.pth')
    assert not (tmp_path / 'executed').exists() and not (tmp_path / 'ours.pth').exists()


@pytest.mark.parametrize('changes, message', [
    ({'encoder_k__st_gcn_networks__3__gcn__conv__weight': None}, r'missing \(first: encoder_k\.st_gcn_networks\.3'),
    ({'encoder_k__fc__2__bias': None}, r'missing \(first: encoder_k\.fc\.2\.bias'),
    ({'encoder_q__fc__2__bias': None}, r'projector without fc\.2\.bias'),
    ({'encoder_k__st_gcn_networks__3__gcn__conv__weight': torch.ones(2, 2, 1, 1)}, r'shape \(first: encoder_k'),
    ({'encoder_k__A': torch.rand(3, 25, 25)}, 'several graphs'),
    ({'queue': torch.ones(7, 32)}, r'shape \(first: queue ')])
def test_a_damaged_pretraining_checkpoint_is_refused(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        convert_file(save(tmp_path, change(**changes)(pretext())), tmp_path / 'ours.pth')


def test_streams_that_do_not_match_are_refused(tmp_path):
    state = pretext(('', '_motion', '_bone'))
    other = {name: value[:, :, :7] if 'q_bone' in name and value.shape[2:] == (9, 1) else value
             for name, value in state.items()}
    half = {name: value for name, value in state.items() if not re.search(r'\.fc\.|_k|queue', name)}
    half |= {'encoder_q.fc.weight': torch.ones(11, 48), 'encoder_q.fc.bias': torch.ones(11)}
    for changed, message in ((other, 'differ in architecture'), (half, 'classifier in some streams only')):
        with pytest.raises(DataError, match=message):
            convert_file(save(tmp_path, changed), tmp_path / 'ours.pth')


def test_models_without_a_counterpart_are_not_written_back(tmp_path):
    for state in ({'backbone.units.0.attention.weight': torch.ones(1)}, {'head.fc.weight': torch.ones(2, 2)}):
        with pytest.raises(ConfigError, match='no counterpart|no encoder'):
            to_official(state, 'test')


def test_an_existing_file_is_kept(tmp_path):
    path = save(tmp_path, pretext())
    (tmp_path / 'ours.pth').write_text('mine')
    with pytest.raises(ConfigError, match='--overwrite'):
        convert_file(path, tmp_path / 'ours.pth')
    with pytest.raises(ConfigError, match='is a folder'):
        convert_file(path, tmp_path, overwrite=True)
    assert (tmp_path / 'ours.pth').read_text() == 'mine'


@pytest.mark.parametrize('options, message', [
    (dict(strided_units=[11]), 'units 1 to 10'), (dict(classes=['a']), 'gives 1 names.* 11 classes'),
    (dict(stream='depth'), 'stream is'), (dict(layout='ntu26'), 'ntu26')])
def test_options_that_do_not_fit_are_named(options, message):
    weights = {**encoder_weights()[1], 'fc.weight': torch.randn(11, 48, 1, 1), 'fc.bias': torch.randn(11)}
    with pytest.raises(ConfigError, match=message):
        from_official(with_prefix('encoder_q', weights), 'test', **options)
