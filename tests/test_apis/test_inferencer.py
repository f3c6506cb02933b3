"""From recordings of any kind to what the model says, by the same numbers as an evaluation."""
import json

import numpy as np
import pytest
import torch

from mmactclr.apis import MotionGallery, SkeletonInferencer, SkeletonStream, extract_features, read_recordings
from mmactclr.apis.actionlets import compute_actionlets
from mmactclr.datasets import SkeletonArchive, SkeletonDataset
from mmactclr.engine.checkpoints import ModelCard, card_of_config, write_checkpoint
from mmactclr.errors import ConfigError, DataError
from mmactclr.evaluation.knn import knn_scores
from mmactclr.registry import MODELS
from mmactclr.structures import get_layout

LAYOUT = get_layout('kinect20_utdmhad')
BACKBONE = dict(type='STGCN', layout='kinect20_utdmhad', channels=[4, 4, 8], strided_units=[2], dropout=0.)
CLASSES = ['wave', 'nod', 'bow']


def save(path, model, classes=(), num_frames=16, streams=None):
    """A checkpoint of freshly initialised weights with a card."""
    torch.manual_seed(0)
    built = MODELS.build(model)
    for module in built.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            torch.nn.init.normal_(module.running_mean, std=.1)
    card = ModelCard(model=model, layout=LAYOUT.to_dict(), num_frames=num_frames, max_persons=2, classes=list(classes))
    return write_checkpoint(path, built.state_dict(), card)


def head(num_classes=3, width=8):
    return dict(type='ClassificationHead', in_channels=width, num_classes=num_classes)


@pytest.fixture(scope='module')
def classifier(tmp_path_factory):
    return SkeletonInferencer(save(tmp_path_factory.mktemp('classifier') / 'c.pth', dict(
        type='Recognizer', layout='kinect20_utdmhad', backbone=BACKBONE, head=head()), CLASSES))


@pytest.fixture(scope='module')
def segmentor(tmp_path_factory):
    return SkeletonInferencer(save(tmp_path_factory.mktemp('segmentor') / 's.pth', dict(
        type='Segmentor', layout='kinect20_utdmhad', backbone=BACKBONE, head=head()), CLASSES))


@pytest.fixture(scope='module')
def actclr(tmp_path_factory, tiny_archive, tiny_config):
    """ActCLR with the anchor that a run would have computed."""
    cfg = tiny_config(tiny_archive)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    dataset = SkeletonDataset(tiny_archive, cfg.split, subset='train', num_frames=16)
    model.set_anchor(torch.from_numpy(dataset.prepared).mean(0))
    path = tmp_path_factory.mktemp('actclr') / 'a.pth'
    return SkeletonInferencer(write_checkpoint(path, model.state_dict(), card_of_config(cfg)))


def motion(frames=30, persons=1, joints=20, axes=3, seed=0):
    rng = np.random.default_rng(seed)
    rest = rng.normal(0, .4, (joints, axes))
    if joints == 20:
        rest[[4, 8], 1], rest[[12, 16], 1] = .5, -.1  # shoulders above hips
    return (rest + .02 * rng.normal(size=(persons, frames, joints, axes)).cumsum(1)).astype(np.float32)


def test_an_archive_gives_the_features_of_an_evaluation(classifier, tiny_archive):
    found = classifier(tiny_archive)
    dataset = SkeletonDataset(tiny_archive, 'xsub', subset='both', num_frames=16)
    batch = dataset.__getitems__(range(len(dataset)))
    expected = classifier.model.extract(batch['inputs'], batch['mask'])
    for row, i in enumerate(batch['index'].tolist()):
        np.testing.assert_allclose(found[i].embedding, expected['backbone'][row], atol=1e-5)
        np.testing.assert_allclose(found[i].score, expected['score'][row].softmax(0), atol=1e-5)
        assert found[i].label == CLASSES[int(expected['score'][row].argmax())]
    assert [r.name for r in found] == SkeletonArchive.open(tiny_archive).column('name').tolist()
    best = found[0].top(2)
    assert best[0][0] == found[0].label and best[0][1] >= best[1][1]


def test_actionlets_are_those_of_the_analysis(actclr, tiny_archive):
    found = actclr(tiny_archive)
    dataset = SkeletonDataset(tiny_archive, 'xsub', subset='test', num_frames=16)
    raw = compute_actionlets(actclr.model, dataset).numpy()
    for row, i in enumerate(dataset.index):
        shown, frames = found[i].actionlet, dataset.archive.frames(int(i))
        assert shown.shape == (2, frames, 20) and shown.max() == pytest.approx(1)
        cells = np.linspace(0, 1, raw.shape[2])
        expected = np.stack([[np.interp(np.linspace(0, 1, frames), cells, raw[row, m, :, v]) for v in range(20)]
                             for m in range(2)]).transpose(0, 2, 1)
        np.testing.assert_allclose(shown, expected / expected.max(), atol=1e-4)
        # the ends of the time axis are cells of the map
        np.testing.assert_allclose(shown[:, [0, -1]] * expected.max(), raw[row][:, [0, -1]], rtol=1e-3, atol=1e-6)
    assert actclr(tiny_archive, actionlet=False)[0].actionlet is None


def test_a_model_without_an_anchor_takes_the_mean_of_recordings(classifier, tiny_archive):
    recordings = read_recordings(tiny_archive)[:4]
    assert classifier(recordings)[0].actionlet is None
    classifier.use_anchor(tiny_archive)
    try:
        assert classifier(recordings)[0].actionlet.max() == pytest.approx(1)
    finally:
        classifier._anchor = None


@pytest.mark.parametrize('kind', ['array', 'person', 'tensor', 'list', 'npy', 'npz', 'csv', 'recording'])
def test_every_way_in_gives_the_same(classifier, tmp_path, kind):
    joints = motion()
    expected = classifier(joints)[0].embedding
    if kind == 'npy':
        np.save(tmp_path / 'a.npy', joints)
    elif kind == 'npz':
        np.savez(tmp_path / 'a.npz', keypoint=joints[0], layout='kinect20_utdmhad', unit='m')
    elif kind == 'csv':
        header = ','.join(f'{joint}_{axis}' for joint in LAYOUT.joints for axis in 'xyz')
        np.savetxt(tmp_path / 'a.csv', joints[0].reshape(30, 60), delimiter=',', header=header, comments='', fmt='%.9g')
    source = {'array': joints, 'person': joints[0], 'tensor': torch.from_numpy(joints), 'list': [joints[0]],
              'npy': tmp_path / 'a.npy', 'npz': str(tmp_path / 'a.npz'), 'csv': tmp_path / 'a.csv'}.get(kind)
    arguments = dict(unit='m', layout='kinect20_utdmhad') if kind == 'csv' else {}
    found = classifier(read_recordings(joints, LAYOUT) if kind == 'recording' else source, **arguments)
    assert len(found) == 1
    np.testing.assert_allclose(found[0].embedding, expected, atol=1e-5)


def test_units_and_axes_come_out_the_same(classifier):
    joints = motion()
    expected = classifier(joints)[0].embedding
    np.testing.assert_allclose(classifier(100 * joints, unit='cm')[0].embedding, expected, atol=1e-4)
    turned = joints[..., [0, 2, 1]] * np.array([1, -1, 1], np.float32)  # z up
    np.testing.assert_allclose(classifier(turned, up='+z')[0].embedding, expected, atol=1e-4)


def test_other_joints_are_brought_to_those_of_the_model(classifier, tiny_archive):
    coco = get_layout('coco17')
    joints = np.zeros((1, 20, 17, 3), np.float32)
    names = {name: i for i, name in enumerate(coco.joints)}
    rng = np.random.default_rng(0)
    joints[:] = rng.normal(0, .2, (17, 3)) + .01 * rng.normal(size=(1, 20, 17, 3)).cumsum(1)
    for part, height in (('shoulder', .5), ('hip', 0.)):
        for side in ('left', 'right'):
            joints[..., names[f'{side}_{part}'], 1] = height
    found = classifier(joints, layout='coco17')[0]
    assert found.embedding.shape == (8,) and 'coco17 -> kinect20_utdmhad' in found.notes[0]


def test_windows_cover_a_long_recording(classifier):
    joints = motion(70)
    found = classifier(joints, window=20, hop=10)[0]
    assert found.windows.tolist() == [[0, 20], [10, 30], [20, 40], [30, 50], [40, 60], [50, 70]]
    each = [classifier(joints[:, a:b])[0] for a, b in found.windows]
    unit = np.stack([r.embedding / np.linalg.norm(r.embedding) for r in each])
    np.testing.assert_allclose(found.embedding, unit.mean(0), atol=1e-5)
    # frame 25 lies in the windows that begin at 10 and 20
    np.testing.assert_allclose(found.frame_score[25], (each[1].score + each[2].score) / 2, atol=1e-5)
    assert found.segments()[0][0] == 0 and found.segments()[-1][1] == 70 and len(found.frame_labels) == 70


def test_a_segmentor_scores_frames(segmentor):
    joints = motion(40)
    found = segmentor(joints)[0]
    assert found.frame_score.shape == (40, 3) and found.windows.tolist() == [[0, 16], [8, 24], [16, 32], [24, 40]]
    np.testing.assert_allclose(found.frame_score.sum(1), 1, atol=1e-5)
    # the first window alone, prepared by hand as in training
    from mmactclr.transforms import prepare
    steps = [dict(type='Centre'), dict(type='AlignShoulders')]
    keypoint, mask = prepare([joints[:, :16]], LAYOUT, 16, 2, steps)
    expected = segmentor.model.extract(keypoint, mask)['frame_score'][0].softmax(1)
    np.testing.assert_allclose(found.frame_score[:8], expected[:8], atol=1e-5)
    assert segmentor(motion(5))[0].frame_score.shape == (5, 3)
    with pytest.raises(ConfigError, match='windows of 16'):
        segmentor(joints, window=20)


BAD = {
    'shape': (np.zeros((3, 20)), DataError, 'expected .persons, frames, 20, 2 or 3'),
    'joints': (np.ones((1, 5, 7, 3)), DataError, r'shape is \(1, 5, 7, 3\).*name the layout'),
    'text': (np.full((1, 5, 20, 3), 'a'), DataError, 'expected numbers'),
    'empty': (np.zeros((1, 0, 20, 3)), DataError, 'at least one person and frame'),
    'nobody': (np.zeros((1, 5, 20, 3)), DataError, 'nobody is in it'),
    'nothing': ([], DataError, 'there are no recordings to look at: the list is empty'),
}


@pytest.mark.parametrize('name', BAD)
def test_what_cannot_be_used_is_named(classifier, name):
    source, error, message = BAD[name]
    with pytest.raises(error, match=message):
        classifier(source)


def test_a_coordinate_that_is_no_number_is_named(classifier):
    joints = motion()
    joints[0, 7, 3, 1] = np.nan
    with pytest.raises(DataError, match=f'1 coordinates.*{LAYOUT.joints[3]!r}, frame 7, person 0; fill them in'):
        classifier(joints)


@pytest.mark.parametrize(('arguments', 'message'), [
    (dict(layout='coco71'), 'coco17'), (dict(window=0), 'window is 0'), (dict(window=5, hop=6), 'hop 6'),
    (dict(hop=3), 'window is not given'), (dict(up='north'), 'north'), (dict(metres_per_unit=-1), '-1')])
def test_arguments_that_do_not_fit_are_named(classifier, arguments, message):
    joints = motion(joints=17) if 'layout' in arguments else motion()
    with pytest.raises(ConfigError, match=message):
        classifier(joints, **arguments)


def test_one_frame_three_persons_and_ten_thousand_frames(classifier):
    assert np.isfinite(classifier(motion(1))[0].embedding).all()
    three = classifier(motion(20, persons=3))[0]
    assert '3 persons, the model takes 2' in three.notes[0]
    np.testing.assert_allclose(three.embedding, classifier(motion(20, persons=3)[:2])[0].embedding, atol=1e-6)
    long = classifier(motion(10_000), actionlet=False)[0]
    assert '10000 frames taken as one action; window=16' in long.notes[0] and np.isfinite(long.embedding).all()


@pytest.mark.parametrize(('name', 'content', 'message'), [
    ('a.txt', b'1 2 3', "files '.txt' are not known"), ('a.npy', b'no array', 'cannot be read'),
    ('a.csv', b'', 'a.csv'), ('a.skeleton', b'junk', 'a.skeleton'), ('a.bvh', b'HIERARCHY', 'a.bvh'),
    ('a.json', b'{', 'a.json'), ('a.zip', b'PK', 'a.zip')])
def test_files_that_cannot_be_read_are_named(classifier, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises((DataError, ConfigError), match=message):
        classifier(tmp_path / name)


def test_a_pickle_in_an_array_file_is_not_executed(classifier, tmp_path):
    np.save(tmp_path / 'a.npy', np.array([dict(a=1)], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match='cannot be read'):
        classifier(tmp_path / 'a.npy')


def test_a_missing_file_names_its_neighbours(classifier, tmp_path):
    (tmp_path / 'wave.csv').write_text('')
    with pytest.raises(DataError, match='that folder holds wave.csv'):
        classifier(tmp_path / 'wav.csv')


def test_an_array_without_a_layout_asks_for_it():
    with pytest.raises(ConfigError, match='name the layout with layout='):
        read_recordings(motion())


def test_a_stream_says_what_its_window_says(classifier):
    joints = motion(40)
    stream = SkeletonStream(classifier, hop=5)
    found = {t: stream.push(joints[:, t]) for t in range(40)}
    assert [t for t, result in found.items() if result is not None] == [15, 20, 25, 30, 35]
    for t in (15, 30):
        expected = classifier(joints[:, t - 15:t + 1])[0]
        np.testing.assert_allclose(found[t].embedding, expected.embedding, atol=1e-5)
        np.testing.assert_allclose(found[t].score, expected.score, atol=1e-5)
    assert found[20].name == 'frames 5 to 20'
    assert set(stream.latency()) == {'median', 'p95', 'worst', 'looks'} and stream.latency()['median'] > 0


def test_a_stream_copes_with_persons_who_come_and_go(classifier):
    joints = motion(20, persons=2)
    stream = SkeletonStream(classifier)
    for t in range(16):
        result = stream.push(joints[:1 + (t > 7), t])
    whole = joints[:, :16].copy()
    whole[1, :8] = 0
    np.testing.assert_allclose(result.embedding, classifier(whole)[0].embedding, atol=1e-5)
    nobody = SkeletonStream(classifier)
    assert all(nobody.push(np.zeros((20, 3))) is None for _ in range(20))
    with pytest.raises(ConfigError, match='nothing was looked at in 20 frames'):
        nobody.latency()


@pytest.mark.parametrize(('frame', 'message'), [
    (np.zeros((19, 3)), r'frame 0: shape is \(19, 3\), expected \(20, 2 or 3\)'),
    (np.full((20, 3), np.inf), 'frame 0: 60 coordinates are not finite')])
def test_a_frame_that_cannot_be_used_is_named(classifier, frame, message):
    with pytest.raises(DataError, match=message):
        SkeletonStream(classifier).push(frame)


def test_a_gallery_finds_what_a_plain_search_finds(classifier, segmentor, tiny_archive, tmp_path):
    built = MotionGallery.build(classifier, tiny_archive)
    gallery = MotionGallery.load(built.save(tmp_path / 'g'))
    assert len(gallery) == 27 and gallery.classes == ('right hand', 'left hand', 'both')
    found = classifier(tiny_archive)
    embeddings = np.stack([result.embedding for result in found]).astype(np.float64)
    for i in (0, 13):
        cosines = [float(embeddings[i] @ e / np.linalg.norm(embeddings[i]) / np.linalg.norm(e)) for e in embeddings]
        near = gallery.search(found[i], 4, classifier)
        assert near[0].similarity == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose([n.similarity for n in near], sorted(cosines, reverse=True)[:4], atol=1e-5)
        labels = SkeletonArchive.open(tiny_archive).labels
        assert [n.label for n in near] == [gallery.classes[labels[n.position]] for n in near]
    # the vote of the kNN protocol
    bank, labels = torch.from_numpy(embeddings), torch.from_numpy(SkeletonArchive.open(tiny_archive).labels)
    expected = knn_scores(bank, labels, bank[:1], k=27)[0].tolist()
    assert dict(gallery.vote(found[0], k=27)) == pytest.approx(
        {name: share for name, share in zip(gallery.classes, expected, strict=True) if share}, abs=1e-4)
    with pytest.raises(ConfigError, match='another encoder'):
        gallery.search(segmentor(motion(16))[0], 4, SkeletonInferencer(save(
            tmp_path / 'b.pth', dict(type='Recognizer', layout='kinect20_utdmhad', backbone=dict(
                BACKBONE, channels=[4, 4, 6]), head=None))))
    with pytest.raises(ConfigError, match='k is 0'):
        gallery.search(found[0], 0)
    (tmp_path / 'g.npz').write_bytes((tmp_path / 'g.npz').read_bytes()[:500])
    with pytest.raises(DataError, match='g.npz cannot be read'):
        MotionGallery.load(tmp_path / 'g.npz')


@pytest.fixture(scope='module')
def frozen(tmp_path_factory, actclr):
    """A classifier on the encoder of ``actclr``, with other fields of its card and arguments of its model if any."""
    weights = {name: value for name, value in actclr.model.state_dict().items() if name.startswith('backbone.')}
    backbone = dict(actclr.card.model['backbone'], dropout=.25, layout='kinect20_utdmhad')

    def build(card=None, strides=None, **model):
        torch.manual_seed(1)
        own = backbone if strides is None else dict(backbone, strided_units=strides)
        config = dict(type='Recognizer', layout='kinect20_utdmhad', backbone=own, frozen=True,
                      head=head(width=backbone['channels'][-1])) | model
        built = MODELS.build(config)
        built.load_state_dict(weights, strict=False)
        fields = dict(layout=actclr.card.layout, num_frames=16, max_persons=2, preparation=actclr.card.preparation,
                      classes=CLASSES) | (card or {})
        return SkeletonInferencer(write_checkpoint(tmp_path_factory.mktemp('frozen') / 'c.pth', built.state_dict(),
                                                   ModelCard(config, **fields)))

    return build


def test_a_classifier_on_a_frozen_encoder_searches_the_gallery_of_the_pretraining(frozen, actclr, tiny_archive):
    gallery, classifier = MotionGallery.build(actclr, tiny_archive), frozen()
    found = classifier(tiny_archive, actionlet=False)
    np.testing.assert_array_equal(found[3].embedding, actclr(tiny_archive, actionlet=False)[3].embedding)
    assert found[3].score is not None
    assert gallery.search(found[3], 1, classifier)[0].similarity == pytest.approx(1, abs=1e-6)


OTHERWISE = {
    'frames': dict(card=dict(num_frames=20)), 'persons': dict(card=dict(max_persons=1)),
    'preparation': dict(card=dict(preparation=[dict(type='Centre'), dict(type='ResizeFrames', num_frames=16)])),
    'stream': dict(stream='motion'), 'skip_absent': dict(skip_absent=True), 'strides': dict(strides=[3])}


@pytest.mark.parametrize('change', OTHERWISE)
def test_the_same_weights_that_embed_otherwise_are_refused(frozen, actclr, tiny_archive, change):
    other = frozen(**OTHERWISE[change])
    found, same = (each(tiny_archive, actionlet=False) for each in (other, actclr))
    assert max(np.abs(a.embedding - b.embedding).max() for a, b in zip(found, same, strict=True)) > 1e-5
    with pytest.raises(ConfigError, match='another encoder than .* or for other joints, frames'):
        MotionGallery.build(actclr, tiny_archive).search(found[0], 4, other)


def test_a_gallery_of_an_earlier_version_asks_to_be_built_again(classifier, tiny_archive, tmp_path):
    path = MotionGallery.build(classifier, tiny_archive).save(tmp_path / 'g.npz')
    with np.load(path, allow_pickle=False) as content:
        old = dict(content, version=1)
    np.savez(path, **old)
    with pytest.raises(DataError, match=r'g.npz is a gallery of version 1, this code reads 2; build it again'):
        MotionGallery.load(path)
    np.savez(path, embedding=old['embedding'])
    with pytest.raises(DataError, match='no gallery: it lacks version, name'):
        MotionGallery.load(path)


@pytest.mark.parametrize('suffix', ['.npz', '.parquet'])
def test_features_are_written_for_other_programs(classifier, tiny_archive, tmp_path, suffix):
    found = extract_features(classifier, tiny_archive, tmp_path / f'f{suffix}')
    if suffix == '.npz':
        with np.load(tmp_path / 'f.npz', allow_pickle=False) as content:
            columns = {name: content[name].tolist() for name in content.files}
        assert columns.pop('classes') == CLASSES
    else:
        table = pytest.importorskip('pyarrow.parquet').read_table(tmp_path / 'f.parquet')
        columns, about = table.to_pydict(), {name.decode(): value for name, value in table.schema.metadata.items()}
        # what the table alone says: which class a score is of, joints, and whose features these are
        assert json.loads(about['classes']) == CLASSES and about['checkpoint'] == b'c.pth'
        assert json.loads(about['layout'])['joints'] == list(LAYOUT.joints)
        assert {name: str(table.schema.field(name).type.value_type) for name in ('embedding', 'score')} == {
            'embedding': 'float', 'score': 'float'}
        assert columns['score'] == [r.score.tolist() for r in found]
    assert columns['name'] == [r.name for r in found] and columns['label'][:2] == ['right hand', 'left hand']
    np.testing.assert_allclose(columns['embedding'], np.stack([r.embedding for r in found]), atol=1e-6)
    assert [p.name for p in tmp_path.iterdir()] == [f'f{suffix}']
    with pytest.raises(ConfigError, match=r"\.npz or \.parquet, found '\.csv'"):
        extract_features(classifier, tiny_archive, tmp_path / 'f.csv')


def test_results_are_plain_data(classifier):
    found = classifier(motion(40), window=16)[0]
    text = json.loads(json.dumps(found.to_dict()))
    assert text['label'] == found.label and len(text['windows']) == 4 and text['segments']
