"""Metafiles list every config of their folder, and repeat what configs and README say."""
import re
from pathlib import Path

import pytest
import yaml

from mmactclr.utils import load_config

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


def test_metadata_are_those_of_the_config(described):
    _, content = described
    for model in content['Models']:
        cfg = load_config(ROOT / model['Config'])
        stated = model['Metadata']
        assert stated['Epochs'] == cfg.train_cfg.max_epochs, model['Name']
        assert stated['Batch Size'] == cfg.train_dataloader.batch_size, model['Name']
        assert stated['Training Data'].endswith(f' {cfg.split}'), model['Name']


def test_results_are_marked_as_published_and_stand_in_a_readme(described):
    folder, content = described
    # a variant's numbers stand beside those of the method
    names = {folder.name, folder.name.split('_')[0]}
    text = ''.join((ROOT / 'configs' / name / 'README.md').read_text() for name in names)
    results = [result for model in content['Models'] for result in model.get('Results', ())]
    assert results
    for result in results:
        assert result['Published'] is True
        assert all(f'| {value} |' in text for value in result['Metrics'].values()), result
