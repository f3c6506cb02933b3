"""Changelog, citation, hooks and gates say what the code and the README say."""
import re
import subprocess
from pathlib import Path

import yaml

import mmactclr

ROOT = Path(__file__).resolve().parents[1]


def bibtex() -> dict[str, str]:
    """Fields of the entry in the README."""
    entry = re.search(r'```bibtex\n(.*?)```', (ROOT / 'README.md').read_text(), re.DOTALL)
    assert entry is not None
    return dict(re.findall(r'(\w+)\s*= \{(.*)\}', entry[1]))


def test_citation_is_that_of_the_readme_and_the_version_that_of_the_code():
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    # what the format 1.2.0 asks for
    assert citation['cff-version'] == '1.2.0' and citation['message'] and citation['type'] == 'software'
    assert citation['title'] == 'mmactclr' and citation['authors'] == [{'name': 'mmactclr developers'}]
    assert citation['version'] == mmactclr.__version__ and citation['license'] == 'Apache-2.0'
    [paper] = citation['references']
    readme = bibtex()
    authors = ' and '.join(f'{one["family-names"]}, {one["given-names"]}' for one in paper['authors'])
    assert (paper['title'], authors, paper['collection-title'], str(paper['year'])) == (
        readme['title'], readme['author'], readme['booktitle'], readme['year'])
    assert paper['type'] == 'conference-paper' and paper['conference']['name'] in paper['collection-title']


def test_changelog_begins_with_the_version_of_the_code():
    versions = re.findall(r'^## (\d+\.\d+\.\d+)', (ROOT / 'CHANGELOG.md').read_text(), re.MULTILINE)
    assert versions[0] == mmactclr.__version__ and len(set(versions)) == len(versions)


def test_hooks_are_local_and_what_they_run_is_installed():
    content = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())
    pinned = (ROOT / 'requirements-test.txt').read_text()
    for repository in content['repos']:
        assert repository['repo'] == 'local'
        for hook in repository['hooks']:
            assert hook['language'] == 'system'
            words = hook['entry'].split()
            tool = words[2] if words[:2] == ['python', '-m'] else words[0]
            assert re.search(rf'^{tool}==', pinned, re.MULTILINE), hook['id']
            assert all((ROOT / word).exists() for word in words if '/' in word)


def test_what_runs_on_the_fork_is_there():
    """Tests and pinned packages that the script names; the documentation names its version."""
    script = (ROOT / 'benchmarks' / 'on_the_fork.sh').read_text()
    tests = re.findall(r'\btests/[\w/.]+', script)
    assert len(tests) > 5 and all((ROOT / name).exists() for name in tests)
    pins = re.findall(r'\$\(pin ([\w-]+) (requirements[\w.-]*)\)', script)
    [loop] = re.findall(r'for name in (.*); do\n.*pin "\$name" (requirements[\w.-]*)', script)
    pins += [(name, loop[1]) for name in loop[0].split()]
    assert len(pins) > 8
    for name, file in pins:
        assert re.search(rf'^{name}==', (ROOT / file).read_text(), re.MULTILINE), (name, file)
    version = re.search(r'FORK_VERSION:-([\d.]+)', script)[1]
    row, = (line for line in (ROOT / 'docs' / 'install.md').read_text().splitlines() if 'on_the_fork.sh' in line)
    assert f'`onedl-mmengine` {version}' in row


def test_links_of_the_guide_lead_somewhere():
    for page in ('CONTRIBUTING.md', 'CHANGELOG.md'):
        for link in re.findall(r'\]\(([^)#]+)', (ROOT / page).read_text()):
            assert (ROOT / link).is_file(), link


def test_no_big_file_is_tracked():
    listed = subprocess.run(['git', 'ls-files', '-z'], cwd=ROOT, capture_output=True, text=True)
    # an unpacked archive of the project has no list; everything but data, runs and builds then counts
    names = listed.stdout.split('\0')[:-1] if listed.returncode == 0 else [
        path.relative_to(ROOT).as_posix() for folder in ('mmactclr', 'configs', 'docs', 'tests', 'tools')
        for path in (ROOT / folder).rglob('*') if path.is_file()]
    big = {name: size for name in names if (ROOT / name).is_file() and (size := (ROOT / name).stat().st_size) > (
        5 * 2 ** 20 if name.startswith('mmactclr/zoo/') else 2 ** 20)}
    assert names and not big
