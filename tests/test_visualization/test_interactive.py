"""The page to turn and play: what its viewer is given, and that it loads nothing."""
import json
import re
import sys

import numpy as np
import pytest

from mmactclr.errors import ConfigError
from mmactclr.structures import get_layout
from mmactclr.visualization.interactive import draw_interactive
from mmactclr.visualization.motion_clip import MotionClip

LAYOUT = get_layout('kinect20_utdmhad')


@pytest.fixture
def clip():
    rng = np.random.default_rng(0)
    joints = rng.normal(0, .1, (2, 6, 20, 3)) + [0, 0, 3]
    joints[..., list(LAYOUT.shoulders), 1] += 1
    # the second person comes later
    joints[1, :2] = 0
    return MotionClip('wave <1>', joints, LAYOUT, weight=rng.random((2, 6, 20)))


def parts_of(text):
    """Arguments of the viewer: traces of the first frame, layout, and the traces of all frames."""
    decoder, found = json.JSONDecoder(), []
    at = text.rindex('Plotly.newPlot(') + len('Plotly.newPlot(')
    for _ in range(3):
        at = re.compile(r'[\s,]*').match(text, at).end()
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    frames, _ = decoder.raw_decode(text, text.rindex('addFrames(') + text[text.rindex('addFrames('):].index('['))
    return found[1], found[2], frames


def test_frames_hold_the_joints_and_weights_of_the_clip(clip, tmp_path):
    pytest.importorskip('plotly')
    text = draw_interactive(clip, tmp_path / 'new' / 'm.html', fps=25, title='take').read_text()
    assert not re.findall(r'<(?:script|link|img|iframe)[^>]+(?:src|href)=', text)
    first, layout, frames = parts_of(text)
    assert [frame['name'] for frame in frames] == list('012345') and len(first) == 4
    for t, frame in enumerate(frames):
        for person in range(2):
            bones, joints = frame['data'][2 * person:2 * person + 2]
            if person == 1 and t < 2:
                assert not joints['x'] and not bones['x']
                continue
            x, y, z = clip.joints[person, t].T
            assert joints['x'] == pytest.approx(x, abs=1e-4) and joints['z'] == pytest.approx(y, abs=1e-4)
            assert joints['y'] == pytest.approx(-z, abs=1e-4)
            assert joints['marker']['color'] == pytest.approx(clip.weight[person, t], abs=1e-3)
            child, parent = LAYOUT.bones[4]
            assert bones['x'][12:15] == [pytest.approx(x[child], abs=1e-4), pytest.approx(x[parent], abs=1e-4), None]
    buttons = layout['updatemenus'][0]['buttons']
    assert [each['label'] for each in buttons] == ['Play', 'Pause'] and buttons[0]['args'][1]['frame']['duration'] == 40
    # the numbers under the slider, which begins at the bottom of the drawing, take some 95 pixels
    assert layout['sliders'][0]['y'] == 0 and layout['margin']['b'] >= 100
    assert layout['title']['text'] == 'take | wave &lt;1&gt;' and len(layout['sliders'][0]['steps']) == 6


def test_flat_recordings_and_a_missing_package(tmp_path, monkeypatch):
    pytest.importorskip('plotly')
    joints = np.random.default_rng(1).normal(size=(1, 3, 20, 2))
    joints[..., list(LAYOUT.shoulders), 1] -= 5
    clip = MotionClip('flat', joints, LAYOUT)
    first, _, frames = parts_of(draw_interactive(clip, tmp_path / 'm.html').read_text())
    # in images y grows downwards
    assert first[1]['z'] == pytest.approx(-joints[0, 0, :, 1], abs=1e-4) and set(first[1]['y']) == {0}
    assert len(set(first[1]['marker']['color'])) == 5
    monkeypatch.setitem(sys.modules, 'plotly.graph_objects', None)
    with pytest.raises(ConfigError, match='needs the package plotly'):
        draw_interactive(clip, tmp_path / 'n.html')
