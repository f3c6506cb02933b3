"""A memory that keeps archives apart: each sequence is compared with keys of its own archive, and with no other."""
from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmactclr.engine.hooks import MemoryBankHook
from mmactclr.errors import ConfigError
from mmactclr.models import MemoryBank
from mmactclr.registry import MODELS
from mmactclr.utils import load_config


def test_the_memory_knows_the_archive_of_every_key():
    bank, expected, count = MemoryBank(7, 1, by_archive=True), deque(maxlen=7), 0
    assert bank.valid(0).shape == (0, 1)
    for archives in ([0, 1, 2], [1, 1, 0, 2], [2], [0, 0, 1, 2, 1, 0, 2, 2, 1]):
        keys = torch.arange(count, count + len(archives)).float()[:, None]
        count += len(archives)
        bank.enqueue(keys, torch.tensor(archives))
        expected.extend(zip(keys[:, 0].tolist(), archives, strict=True))
        for archive in range(4):
            assert sorted(bank.valid(archive)[:, 0].tolist()) == sorted(k for k, a in expected if a == archive)
        assert sorted(bank.valid()[:, 0].tolist()) == sorted(k for k, _ in expected)


def test_keys_without_their_archives_are_refused():
    with pytest.raises(ConfigError, match='the keys come without their archives'):
        MemoryBank(4, 1, by_archive=True).enqueue(torch.ones(2, 1))


@pytest.fixture
def make(tiny_options):
    """Builds a tiny paper model of a stage, with 12 keys of three archives, kept apart or not."""
    def make(stage: int, divided: bool = True, config: str = 'actclr_joint_ntu60_xview', **more):
        options = tiny_options('nowhere', config, **{f'model.{name}': value for name, value in more.items()})
        options['model.memory.by_archive'] = divided
        torch.manual_seed(0)
        model = MODELS.build(load_config(config, options).model)
        model.init_weights()
        keys = F.normalize(torch.randn(12, 4, generator=torch.Generator().manual_seed(4)), dim=1)
        model.memory.enqueue(keys, torch.arange(12) % 3)
        with torch.no_grad():
            model.anchor.normal_(0, .1, generator=torch.Generator().manual_seed(9))
        model.anchor_ready.fill_(True)
        model.set_progress(0, 100 * (stage - 1), 5, 0)
        assert model.stage == stage
        return model

    return make


def batch_of(archives, **more):
    generator = torch.Generator().manual_seed(2)
    n = len(archives)
    views = {name: torch.randn(n, 2, 16, 20, 3, generator=generator) for name in ('query', 'act', 'non', 'key')}
    masks = dict.fromkeys(views, torch.ones(n, 2).bool())
    return dict(inputs={'joint': views}, masks=masks, mixes={}, archive=torch.tensor(archives), **more)


def test_stage_one_is_eq_10_over_the_keys_of_the_own_archive(make):
    model, archives = make(1, **{'backbone.dropout': 0.}), [0, 2, 2, 1, 0, 2]
    batch = batch_of(archives)
    (name, loss), = model.losses(batch)
    views, masks = batch['inputs']['joint'], batch['masks']
    q, k = (F.normalize(z, dim=1).detach().double().numpy()
            for z in (model.project_query(views, masks), model.project_key(views, masks)))
    memory, of = model.memory.valid().double().numpy(), np.arange(12) % 3
    terms = []
    for i, archive in enumerate(archives):
        logits = np.array([q[i] @ k[i], *(memory[of == archive] @ q[i])]) / model.contrastive_loss.temperature
        terms.append(np.log(np.exp(logits).sum()) - logits[0])
    assert name == 'loss_nce'
    np.testing.assert_allclose(loss.item(), np.mean(terms), rtol=1e-4)
    # log of four keys each, less the loss
    np.testing.assert_allclose(model.log_scalars['mi_bound'], np.log(4) - np.mean(terms), rtol=1e-4)


def test_stage_two_is_eq_11_over_the_keys_of_the_own_archive(make):
    archives = [0, 2, 2, 1, 0, 2]
    model, whole = make(2, **{'backbone.dropout': 0.}), make(2, False, **{'backbone.dropout': 0.})
    seen = []
    mining = model.mining_loss
    whole.mining_loss.register_forward_hook(lambda module, args, out: seen.append(args))
    for _ in whole.losses(batch_of(archives)):
        pass
    (z_q, z_k, memory), = seen
    (name, loss), = model.losses(batch_of(archives))
    of = torch.arange(12) % 3
    expected = [mining(z_q[i:i + 1], z_k[i:i + 1], memory[of == archive]) for i, archive in enumerate(archives)]
    assert name == 'loss_mining'
    torch.testing.assert_close(loss, torch.stack([one for one, _ in expected]).mean())
    kl = torch.stack([one - entropy for one, entropy in expected]).mean()
    torch.testing.assert_close(model.log_scalars['kl'], kl.detach())
    torch.testing.assert_close(model.log_scalars['mi_bound'], torch.tensor(4.).log() - kl.detach())


@pytest.mark.parametrize('stage', [1, 2])
def test_with_one_archive_it_is_the_whole_memory(make, stage):
    divided, whole = make(stage), make(stage, False)
    divided.memory.archives.fill_(3)
    losses = [[loss.item() for _, loss in model.losses(batch_of([3] * 5))] for model in (divided, whole)]
    assert losses[0] == losses[1]


def test_keys_of_a_step_enter_with_their_archives(make):
    model = make(1)
    for _ in model.losses(batch_of([2, 0, 2, 4, 2])):
        pass
    keys = model.pending_keys
    MemoryBankHook().after_train_iter(SimpleNamespace(model=model), 0)
    for archive, rows in ((0, [1]), (2, [0, 2, 4]), (4, [3])):
        found = model.memory.valid(archive)
        assert all((found == keys[row]).all(1).any() for row in rows), archive
    assert len(model.memory.valid(4)) == 1


def test_a_training_set_of_one_archive_is_refused(make):
    batch = batch_of([0, 0, 0])
    del batch['archive']
    with pytest.raises(ConfigError, match='memory.by_archive is True, but the training set is one archive'):
        next(make(1).losses(batch))


@pytest.mark.parametrize('config', [
    'aimclr_joint_ntu60_xview', 'skelemixclr_joint_ntu60_xview', 'crosclr_3s_ntu60_xview', 'cmd_3s_ntu60_xview'])
def test_methods_that_look_at_all_of_the_memory_refuse_a_divided_one(config):
    model = load_config(config).model
    model.get('branch', model).memory.by_archive = True
    with pytest.raises(ConfigError, match='memory.by_archive is True, which MoCo and ActCLR know'):
        MODELS.build(model)
