"""Trees from names: those of the built-in layouts come out as their tables have them."""
import pytest

from mmactclr.errors import ConfigError
from mmactclr.structures import Layout, get_layout
from mmactclr.structures.name_tree import edges_from_names

# the tables of NTU hang the hand tip on the thumb, as its public graphs do; HDM05 has two joints at one place
SAME_TREE = ('kinect20_utdmhad', 'kinect20_nwucla', 'uiprmd22', 'smpl24', 'bandai21', 'h36m17')
SAME_PARTS = (*SAME_TREE, 'ntu25')


@pytest.mark.parametrize('name', SAME_TREE)
def test_trees_of_builtin_layouts(name):
    layout = get_layout(name)
    found = {frozenset(edge) for edge in edges_from_names(layout.joints)}
    expected = {frozenset(bone) for bone in layout.bones}
    assert len(found) == layout.num_joints - 1
    # limbs are the same to the last bone; along the midline a table may hang them a joint higher or lower
    trunk = set(layout.parts['trunk']) | set(layout.hips) | set(layout.shoulders)
    assert {edge for edge in found if not edge <= trunk} == {edge for edge in expected if not edge <= trunk}


@pytest.mark.parametrize('name', SAME_PARTS)
def test_parts_of_builtin_layouts(name):
    layout = get_layout(name)
    made = Layout.from_edges('made', layout.joints, edges_from_names(layout.joints))
    assert {part: set(joints) for part, joints in made.parts.items()} == {
        part: set(joints) for part, joints in layout.parts.items()}
    assert (made.shoulders, made.hips, set(made.flip_pairs)) == (layout.shoulders, layout.hips, set(layout.flip_pairs))


def test_order_does_not_matter():
    joints = get_layout('h36m17').joints
    forward = {frozenset((joints[a], joints[b])) for a, b in edges_from_names(joints)}
    turned = joints[::-1]
    assert forward == {frozenset((turned[a], turned[b])) for a, b in edges_from_names(turned)}


@pytest.mark.parametrize(('joints', 'named'), [
    (['neck', 'head', 'antenna'], 'antenna hangs'), (['neck', 'left_wing', 'right_wing'], 'left_wing, right_wing hang'),
    (['neck', 'left_elbow'], 'left_elbow'), (['neck', 'Neck', 'head'], 'Neck')])
def test_names_that_do_not_tell(joints, named):
    with pytest.raises(ConfigError, match=named):
        edges_from_names(joints)
