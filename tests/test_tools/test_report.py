"""The page about a run, read by a parser of HTML and compared with the run's own files."""
import base64
import csv
import io
import json
import runpy
import shutil
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmactclr.apis import init_model, run_report, run_test, run_training, write_report
from mmactclr.apis.run_examples import look_at_tests
from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import DATASETS
from mmactclr.visualization.html_page import HtmlPage

# curves, confusion matrix, two of actionlets, right and wrong neighbours, mistakes
PICTURES = 7


class Page(HTMLParser):
    """Headings, pictures, links, rows of tables and notes of what is missing."""

    def __init__(self, text):
        super().__init__()
        self.headings, self.pictures, self.addresses, self.rows, self.missing = [], [], [], [], []
        self.tags, self._open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.addresses += [attributes[name] for name in ('src', 'href') if name in attributes]
        if tag == 'img':
            self.pictures.append(attributes)
        elif tag == 'tr':
            self.rows.append([])
        elif tag in ('h1', 'h2', 'h3', 'td', 'th', 'p'):
            self._open.append((tag, attributes.get('class'), []))

    def handle_data(self, data):
        if self._open:
            self._open[-1][2].append(data)

    def handle_endtag(self, tag):
        if self._open and self._open[-1][0] == tag:
            name, kind, texts = self._open.pop()
            text = ''.join(texts)
            if name in ('td', 'th'):
                self.rows[-1].append(text)
            elif name == 'p' and kind == 'missing':
                self.missing.append(text)
            elif name.startswith('h'):
                self.headings.append((name, text))


@pytest.fixture(scope='module')
def run(tiny_archive, tiny_config, tmp_path_factory):
    """Work dir of a training and a test."""
    folder = tmp_path_factory.mktemp('report') / 'tiny'
    trained = run_training(tiny_config(tiny_archive), folder)
    # the second in which a run began is the name of its folder
    while time.strftime('%Y%m%d_%H%M%S') == trained.timestamp:
        time.sleep(.05)
    run_test(tiny_config(tiny_archive), folder / 'epoch_2.pth', folder)
    return folder


@pytest.fixture(scope='module')
def page(run, repo_root):
    main = runpy.run_path(str(repo_root / 'tools' / 'analysis_tools' / 'report.py'))['main']
    main([str(run), '--examples', '2'])
    return Page((run / 'report.html').read_text())


def test_the_page_stands_alone(page, run):
    assert page.pictures and all(each['src'].startswith('data:image/png;base64,') and each['alt']
                                 for each in page.pictures)
    assert all(address.startswith(('data:', '#')) for address in page.addresses)
    text = (run / 'report.html').read_text()
    assert 'http:' not in text and 'https:' not in text and 'url(' not in text and '@import' not in text
    assert 'script' not in page.tags and 'width=device-width' in text
    for each in page.pictures:
        image = Image.open(io.BytesIO(base64.b64decode(each['src'].split(',')[1])))
        assert image.format == 'PNG' and min(image.size) > 200
    assert not list(run.glob('.report*'))


def test_headings_in_order(page):
    assert page.headings[0][0] == 'h1' and {level for level, _ in page.headings[1:]} == {'h2'}
    assert [text for _, text in page.headings] == [
        'Run tiny', 'What was run', 'Results', 'Curves', 'Classes and confusions', 'Actionlets', 'Nearest neighbours',
        'Most confident mistakes']
    assert not page.missing and len(page.pictures) == PICTURES


def test_numbers_are_those_of_the_run(page, run):
    stated = json.loads((run / 'metrics.json').read_text())['test']
    rows = {row[0]: row[1:] for row in page.rows if row}
    columns = next(row for row in page.rows if 'knn/backbone_k20' in row)[1:]
    for name in ('this checkpoint', 'prepared coordinates', 'unprepared coordinates', 'mean joint velocity',
                 'untrained encoder'):
        prefix = '' if name == 'this checkpoint' else name.replace(' ', '_') + '/'
        for column, cell in zip(columns, rows[name], strict=True):
            value = stated['metrics'].get(prefix + column)
            assert cell == ('-' if value is None else f'{value:.1f}')
    assert rows['SHA-256 of the data'] == [stated['data']['checksum']] and rows['seed'] == [str(stated['seed'])]
    assert rows['method'] == ['ActCLR'] and rows['training sequences'] == ['18'] and rows['epochs'] == ['2']
    assert rows['PyTorch'] == [torch.__version__]
    with (run / 'reports' / 'linear_backbone_top1.classes.csv').open() as file:
        for line in csv.DictReader(file):
            assert any(row[:3] == [line['class'], line['count'], line['accuracy']] for row in page.rows)


def test_neighbours_and_mistakes_by_a_plain_loop(run, tiny_archive, tiny_config):
    cfg = tiny_config(tiny_archive)
    model = init_model(cfg, run / 'epoch_2.pth')
    dataset = DATASETS.build(dict(cfg.test_dataloader.dataset, subset='both'))
    found = look_at_tests(model, dataset)
    batch = dataset.__getitems__(range(27))
    with torch.no_grad():
        features = model.extract(batch['inputs'], batch['mask'])['backbone'].numpy().astype(np.float64)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    bank = [i for i in range(27) if dataset.role[i] == 0]
    assert found.queries.tolist() == [i for i in range(27) if dataset.role[i] == 1]
    for row, query in enumerate(found.queries):
        similarity = {i: features[query] @ features[i] for i in bank}
        best = sorted(similarity, key=similarity.get, reverse=True)
        assert similarity[int(found.neighbours[row, 0])] == pytest.approx(similarity[best[0]], abs=1e-6)
        assert found.similarity[row].tolist() == pytest.approx([similarity[i] for i in best[:3]], abs=1e-5)
        votes = np.zeros(3)
        for i in bank:
            votes[dataset.labels[i]] += np.exp(similarity[i] / .1)
        assert found.confidence[row] == pytest.approx(votes.max() / votes.sum(), rel=1e-3)
    worst = found.worst(3)
    assert (found.prediction[worst] != found.truth[worst]).all() and (np.diff(found.confidence[worst]) <= 0).all()
    assert all(dataset.labels[found.neighbours[q, 0]] != found.truth[q] for q in found.some(False, 9, dataset.labels))
    assert all(dataset.labels[found.neighbours[q, 0]] == found.truth[q] for q in found.some(True, 9, dataset.labels))


def copied(run, folder, *without):
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns('report.html', *without))
    return folder


@pytest.fixture
def quick(monkeypatch):
    """Leaves the drawing of skeletons out."""
    def blank(*arguments, **_):
        path = next(each for each in arguments if isinstance(each, Path))
        Image.new('L', (9, 9)).save(path)
        return path

    for name in ('draw_contact_sheet', 'draw_actionlet_sheet'):
        monkeypatch.setattr(run_report, name, blank)


@pytest.mark.usefixtures('quick')
@pytest.mark.parametrize(('without', 'said', 'pictures'), [
    (['*.pth'], 'no checkpoint epoch_N.pth', 2), (['metrics.json'], 'There is no metrics.json', PICTURES),
    (['reports', 'scalars.json'], 'there is no training log', PICTURES - 2),
    (['config.py', '*.log'], 'No run in the work dir', 2)])
def test_what_is_missing_is_said(run, tmp_path, without, said, pictures):
    page = Page(write_report(copied(run, tmp_path / 'run', *without)).read_text())
    assert any(said in text for text in page.missing), page.missing
    assert [text for _, text in page.headings][1:3] == ['What was run', 'Results'] and len(page.headings) == 8
    assert len(page.pictures) == pictures


@pytest.mark.usefixtures('quick')
def test_data_that_are_gone_and_a_damaged_file(run, tmp_path):
    folder = copied(run, tmp_path / 'run')
    (folder / 'metrics.json').write_text('{"test": ')
    page = Page(write_report(folder, tmp_path / 'other.html', options={'data_root': str(tmp_path)}).read_text())
    assert any('metrics.json cannot be read' in text for text in page.missing)
    assert sum('as model and data cannot be opened' in text for text in page.missing) == 3
    assert not (folder / 'report.html').exists()


@pytest.mark.usefixtures('quick')
def test_a_run_that_went_on_is_repeated_from_the_start(run, tmp_path):
    folder = copied(run, tmp_path / 'run', 'metrics.json', '*.pth')
    assert 'resume=False' not in write_report(folder).read_text()
    configs = [Config.fromfile(path) for path in folder.glob('*/vis_data/config.py')]
    config = next(cfg for cfg in configs if cfg.get('train_cfg'))
    config.resume = True
    later = folder / '29991231_235959' / 'vis_data' / 'config.py'
    later.parent.mkdir(parents=True)
    config.dump(later)
    text = write_report(folder).read_text()
    assert f'{later} --work-dir NEW_WORK_DIR --cfg-options resume=False load_from=None' in text


def test_no_run_at_all(tmp_path):
    with pytest.raises(DataError, match='no such folder'):
        write_report(tmp_path / 'nothing')
    with pytest.raises(DataError, match='neither a log nor'):
        write_report(tmp_path)


def test_text_of_a_page_is_escaped(tmp_path):
    page = HtmlPage('a <b> & c')
    page.table(['<i>', 'x'], [['"quoted" <u>', 1.25], ['none', None]], bar=1)
    text = page.save(tmp_path / 'p.html').read_text()
    assert '<b>' not in text and '<u>' not in text and '&lt;i&gt;' in text
    assert Page(text).rows[1][:2] == ['"quoted" <u>', '1.2'] and Page(text).rows[2][1] == '-'
    with pytest.raises(ConfigError, match='ends in .html'):
        page.save(tmp_path / 'p.txt')
