"""Metafiles list every config of their folder, and repeat what configs and README say."""
import json
import re
from pathlib import Path

import pytest
import yaml

from mmactclr.utils import load_config
from mmactclr.utils.zoo import list_zoo, read_zoo_card

ROOT = Path(__file__).resolve().parents[1]
METAFILES = sorted((ROOT / 'configs').rglob('metafile.yml'))
IDS = [path.parent.name for path in METAFILES]


@pytest.fixture(params=METAFILES, ids=IDS)
def described(request):
    """Folder and content of a metafile."""
    return request.param.parent, yaml.safe_load(request.param.read_text())


def test_every_config_of_the_folder_is_a_model(described):
    folder, content = described
    listed = [model['Config'] for model in content['Models']]
    assert listed and sorted(listed) == sorted(
        path.relative_to(ROOT).as_posix() for path in folder.glob('*.py'))
    assert [model['Name'] for model in content['Models']] == [Path(config).stem for config in listed]


def test_collections_point_to_what_exists(described):
    _, content = described
    names = {collection['Name'] for collection in content['Collections']}
    assert {model['In Collection'] for model in content['Models']} == names
    for collection in content['Collections']:
        assert (ROOT / collection['README']).is_file() and (ROOT / collection['Code']['URL']).is_file()
        assert re.fullmatch(r'https://arxiv\.org/abs/\d{4}\.\d{5}', collection['Paper']['URL'])


def test_metadata_are_those_of_the_config(described, tiny_archive):
    _, content = described
    for model in content['Models']:
        # one of them takes its layout from the data
        options = {'data_root': str(tiny_archive)} if 'custom' in model['Name'] else None
        cfg = load_config(ROOT / model['Config'], options)
        stated = model['Metadata']
        assert stated['Epochs'] == cfg.train_cfg.max_epochs, model['Name']
        assert stated['Batch Size'] == cfg.train_dataloader.batch_size, model['Name']
        assert stated['Training Data'].endswith(f' {cfg.split}'), model['Name']


def published_rows(folder: Path) -> dict[tuple[str, str, bool], str]:
    """Cells of the rows "linear" in the tables of published numbers, by stream, data set and whether a row is a "+"."""
    # a variant's numbers stand beside those of the method
    folders = {folder, folder.with_name(folder.name.split('_')[0])}
    cells = {}
    for readme in (path / 'README.md' for path in folders):
        header: list[str] = []
        for line in readme.read_text().splitlines():
            row = [cell.strip() for cell in line.strip('|').split('|')]
            if line.startswith('| | NTU'):
                header = row
            elif header and line.startswith('| linear, '):
                words = row[0].split(', ')
                cells |= {(words[1], column, '"+"' in words): cell for column, cell in zip(header, row, strict=True)
                          if column and cell != '-'}
    return cells


def column_of(dataset: str) -> str:
    """A data set of a metafile in the words of the tables; for PKU-MMD the papers give one split, cross-subject."""
    return dataset.replace('NTU RGB+D ', 'NTU-').replace('PKU-MMD I xsub', 'PKU-MMD I')


def test_published_numbers_are_those_of_the_same_row_and_column_in_the_readme(described):
    folder, content = described
    cells = {key[:2]: value for key, value in published_rows(folder).items() if key[2] == folder.name.endswith('_plus')}
    found = {}
    for model in content['Models']:
        for result in model.get('Results', ()):
            if result['Published']:
                ((metric, value),) = result['Metrics'].items()
                assert metric == 'Top 1 Accuracy (linear)'
                found[model['Name'].split('_')[1], column_of(result['Dataset'])] = str(value)
                assert result['Dataset'] == model['Metadata']['Training Data']
    if folder.name in ('actclr_release', 'backbones', 'demo', 'flagship', 'moco'):
        assert not found
    else:
        # all that the table has for which there is a config, and nothing else
        assert found and found == {key: value for key, value in cells.items()
                                   if key in found or _has_config(content, key)}


def _has_config(content: dict, key: tuple[str, str]) -> bool:
    return any((model['Name'].split('_')[1], column_of(model['Metadata']['Training Data'])) == key
               for model in content['Models'])


# the index

def test_the_index_imports_every_metafile():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    assert list(index) == ['Import']
    assert index['Import'] == [path.relative_to(ROOT).as_posix() for path in METAFILES]


SCHEMA = {
    'Collections': {'Name': str, 'README': str, 'Paper': dict, 'Metadata': dict, 'Code': dict},
    'Models': {'Name': str, 'In Collection': str, 'Config': str, 'Metadata': dict},
    'Results': {'Task': str, 'Dataset': str, 'Published': bool, 'Metrics': dict}}


def test_entries_have_the_fields_of_the_schema(described):
    _, content = described
    assert set(content) == {'Collections', 'Models'}
    results = [result for model in content['Models'] for result in model.get('Results', ())]
    for kind, entries in (('Collections', content['Collections']), ('Models', content['Models']), ('Results', results)):
        optional = {'Models': {'Results', 'Weights'}, 'Results': {'Encoder', 'Epochs'}}.get(kind, set())
        for entry in entries:
            assert set(SCHEMA[kind]) <= set(entry) <= set(SCHEMA[kind]) | optional, entry
            assert all(isinstance(entry[field], form) for field, form in SCHEMA[kind].items()), entry
    for result in results:
        assert all(0 < value <= 100 for value in result['Metrics'].values())


def test_names_are_unique():
    models = [model['Name'] for path in METAFILES for model in yaml.safe_load(path.read_text())['Models']]
    collections = [each['Name'] for path in METAFILES for each in yaml.safe_load(path.read_text())['Collections']]
    assert len(set(models)) == len(models) and len(set(collections)) == len(collections)


def test_weights_are_the_published_ones_and_results_those_of_their_cards():
    """Every file of the zoo is the weights of the config that its card names, with the numbers of the card."""
    stated = {}
    for path in METAFILES:
        for model in yaml.safe_load(path.read_text())['Models']:
            if 'Weights' in model:
                assert (ROOT / model['Weights']).is_file() or model['Weights'].startswith('https://')
                measured = [result for result in model.get('Results', ()) if not result['Published']]
                stated[Path(model['Weights']).stem] = (model['Name'], measured[0]['Epochs'], measured[0]['Metrics'])
            elif path.parent.name != 'backbones':
                assert all(result['Published'] for result in model.get('Results', ())), model['Name']
    assert sorted(stated) == list_zoo()
    for name, (config, epochs, metrics) in stated.items():
        card = read_zoo_card(name)
        assert (config, epochs) == (card['config'], card['recipe']['epochs'])
        assert metrics == {f'Top 1 Accuracy ({kind})': card['results'][0]['metrics'][field] for kind, field in (
            ('kNN, k 20', 'knn/backbone_k20'), ('linear', 'linear/backbone_top1'))}


def test_results_of_backbones_are_those_of_their_runs():
    """Metafile and README have every run of benchmarks/results/backbones.jsonl, rounded, and no other."""
    lines = (ROOT / 'benchmarks' / 'results' / 'backbones.jsonl').read_text().splitlines()
    runs = {(run['backbone'], run['epochs']): run['metrics'] for run in map(json.loads, lines)}
    folder = ROOT / 'configs' / 'backbones'
    stated = {}
    for model in yaml.safe_load((folder / 'metafile.yml').read_text())['Models']:
        [encoder] = model['Metadata']['Architecture']
        cfg = load_config(ROOT / model['Config'])
        assert cfg.model.get('branch', cfg.model).backbone.type == encoder.replace('-', '').replace('+', 'P')
        for result in model.get('Results', ()):
            assert not result['Published'] and model['Name'].endswith('_joint_utdmhad_xsub')
            stated[encoder, result['Epochs']] = result['Metrics']
    assert stated == {key: {f'Top 1 Accuracy ({name})': round(metrics[field], 1) for name, field in (
        ('kNN, k 20', 'knn/backbone_k20'), ('linear', 'linear/backbone_top1'))}
        for key, metrics in runs.items() if key[0] != 'ST-GCN'}
    rows = [[cell.strip() for cell in line.strip('|').split('|')]
            for line in (folder / 'README.md').read_text().splitlines() if line.startswith('| `') and 'utdmhad' in line]
    fields = ('knn/backbone_k1', 'knn/backbone_k20', 'linear/backbone_top1')
    assert {(row[1], int(row[2])): row[3:] for row in rows} == {
        key: [*(f'{metrics[field]:.1f}' for field in fields),
              ', '.join(f'{metrics[f"untrained_encoder/{field}"]:.1f}' for field in fields[1:])]
        for key, metrics in runs.items()}
