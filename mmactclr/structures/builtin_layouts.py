"""Joint tables of common recording set-ups, as keyword arguments of ``Layout``.

``up`` lists the parent of every joint, the centre its own; public NTU RGB+D graphs hang the hand
tip on the thumb and the thumb on the hand, and weights trained with them need just that. Names are
spelled as their source spells them.
"""
from typing import Any


def _table(name: str, joints: str, up: str, trunk: str, right_arm: str, left_arm: str,
           right_leg: str, left_leg: str, shoulders: tuple[int, int], hips: tuple[int, int],
           flips: str, origin: tuple[int, ...] = ()) -> dict[str, Any]:
    def numbers(text: str) -> tuple[int, ...]:
        return tuple(int(number) for number in text.split())

    parents = numbers(up)
    centre = next(joint for joint, parent in enumerate(parents) if joint == parent)
    return dict(
        name=name, joints=tuple(joints.split()), centre=centre,
        bones=tuple((joint, parent) for joint, parent in enumerate(parents) if joint != centre),
        parts=dict(trunk=numbers(trunk), right_arm=numbers(right_arm), left_arm=numbers(left_arm),
                   right_leg=numbers(right_leg), left_leg=numbers(left_leg)),
        flip_pairs=tuple(numbers(pair.replace('-', ' ')) for pair in flips.split()),
        shoulders=shoulders, hips=hips, origin=origin)


BUILTIN = (
    # Kinect v2: NTU RGB+D, PKU-MMD.
    _table(
        'ntu25',
        'spine_base spine_mid neck head '
        'left_shoulder left_elbow left_wrist left_hand '
        'right_shoulder right_elbow right_wrist right_hand '
        'left_hip left_knee left_ankle left_foot right_hip right_knee right_ankle right_foot '
        'spine_shoulder left_hand_tip left_thumb right_hand_tip right_thumb',
        up='1 20 20 2  20 4 5 6  20 8 9 10  0 12 13 14  0 16 17 18  20 22 7 24 11',
        trunk='0 1 2 3 20', right_arm='8 9 10 11 23 24', left_arm='4 5 6 7 21 22',
        right_leg='16 17 18 19', left_leg='12 13 14 15', shoulders=(4, 8), hips=(12, 16),
        flips='4-8 5-9 6-10 7-11 12-16 13-17 14-18 15-19 21-23 22-24'),
    # Kinect v1 in the joint order of UTD-MHAD.
    _table(
        'kinect20_utdmhad',
        'head shoulder_center spine hip_center '
        'left_shoulder left_elbow left_wrist left_hand '
        'right_shoulder right_elbow right_wrist right_hand '
        'left_hip left_knee left_ankle left_foot right_hip right_knee right_ankle right_foot',
        up='1 1 1 2  1 4 5 6  1 8 9 10  3 12 13 14  3 16 17 18',
        trunk='0 1 2 3', right_arm='8 9 10 11', left_arm='4 5 6 7',
        right_leg='16 17 18 19', left_leg='12 13 14 15', shoulders=(4, 8), hips=(12, 16),
        flips='4-8 5-9 6-10 7-11 12-16 13-17 14-18 15-19'),
    # Kinect v1 in the joint order of Northwestern-UCLA (and of the Kinect SDK).
    _table(
        'kinect20_nwucla',
        'HipCenter Spine ShoulderCenter Head '
        'ShoulderLeft ElbowLeft WristLeft HandLeft ShoulderRight ElbowRight WristRight HandRight '
        'HipLeft KneeLeft AnkleLeft FootLeft HipRight KneeRight AnkleRight FootRight',
        up='1 2 2 2  2 4 5 6  2 8 9 10  0 12 13 14  0 16 17 18',
        trunk='0 1 2 3', right_arm='8 9 10 11', left_arm='4 5 6 7',
        right_leg='16 17 18 19', left_leg='12 13 14 15', shoulders=(4, 8), hips=(12, 16),
        flips='4-8 5-9 6-10 7-11 12-16 13-17 14-18 15-19'),
    # Kinect v1 in the joint order of MSR Action3D. The authors publish the edges without names. Which side is which
    # follows from the recordings: subjects kicked and waved with the right, and toes point towards the camera.
    _table(
        'kinect20_msraction3d',
        'left_shoulder right_shoulder shoulder_center spine left_hip right_hip hip_center '
        'left_elbow right_elbow left_wrist right_wrist left_hand right_hand '
        'left_knee right_knee left_ankle right_ankle left_foot right_foot head',
        up='2 2 2 2 6 6 3  0 1 7 8 9 10  4 5 13 14 15 16 2',
        trunk='2 3 6 19', right_arm='1 8 10 12', left_arm='0 7 9 11',
        right_leg='5 14 16 18', left_leg='4 13 15 17', shoulders=(0, 1), hips=(4, 5),
        flips='0-1 4-5 7-8 9-10 11-12 13-14 15-16 17-18'),
    # Kinect v2 as UI-PRMD writes it: a joint is named after the limb that starts there.
    _table(
        'uiprmd22',
        'waist spine chest neck head head_tip '
        'l_collar l_upper_arm l_forearm l_hand r_collar r_upper_arm r_forearm r_hand '
        'l_upper_leg l_lower_leg l_foot l_toes r_upper_leg r_lower_leg r_foot r_toes',
        up='1 2 2 2 3 4  2 6 7 8  2 10 11 12  0 14 15 16  0 18 19 20',
        trunk='0 1 2 3 4 5 6 10', right_arm='11 12 13', left_arm='7 8 9',
        right_leg='18 19 20 21', left_leg='14 15 16 17', shoulders=(7, 11), hips=(14, 18),
        flips='6-10 7-11 8-12 9-13 14-18 15-19 16-20 17-21'),
    # COCO keypoints; no joint lies between the shoulders, so their middle is the origin.
    _table(
        'coco17',
        'nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow '
        'right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle '
        'right_ankle',
        up='0 0 0 1 2  0 0 5 6 7 8  5 6 11 12 13 14',
        trunk='0 1 2 3 4', right_arm='6 8 10', left_arm='5 7 9',
        right_leg='12 14 16', left_leg='11 13 15', shoulders=(5, 6), hips=(11, 12),
        flips='1-2 3-4 5-6 7-8 9-10 11-12 13-14 15-16', origin=(5, 6)),
    # OpenPose COCO model (Kinetics-Skeleton); public graphs hang the hips on the shoulders.
    _table(
        'openpose18',
        'nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist '
        'right_hip right_knee right_ankle left_hip left_knee left_ankle '
        'right_eye left_eye right_ear left_ear',
        up='1 1  1 2 3  1 5 6  2 8 9  5 11 12  0 0 14 15',
        trunk='0 1 14 15 16 17', right_arm='2 3 4', left_arm='5 6 7',
        right_leg='8 9 10', left_leg='11 12 13', shoulders=(5, 2), hips=(11, 8),
        flips='5-2 6-3 7-4 11-8 12-9 13-10 15-14 17-16'),
    # OpenPose BODY_25.
    _table(
        'openpose25',
        'nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist '
        'mid_hip right_hip right_knee right_ankle left_hip left_knee left_ankle '
        'right_eye left_eye right_ear left_ear '
        'left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel',
        up='1 1  1 2 3  1 5 6  1 8 9 10  8 12 13  0 0 15 16  14 19 14  11 22 11',
        trunk='0 1 8 15 16 17 18', right_arm='2 3 4', left_arm='5 6 7',
        right_leg='9 10 11 22 23 24', left_leg='12 13 14 19 20 21',
        shoulders=(5, 2), hips=(12, 9),
        flips='5-2 6-3 7-4 12-9 13-10 14-11 16-15 18-17 19-22 20-23 21-24'),
    # Human3.6M, the 17 joints of pose lifting.
    _table(
        'h36m17',
        'pelvis right_hip right_knee right_ankle left_hip left_knee left_ankle spine thorax nose '
        'head left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist',
        up='7  0 1 2  0 4 5  8 8 8 9  8 11 12  8 14 15',
        trunk='0 7 8 9 10', right_arm='14 15 16', left_arm='11 12 13',
        right_leg='1 2 3', left_leg='4 5 6', shoulders=(11, 14), hips=(4, 1),
        flips='4-1 5-2 6-3 11-14 12-15 13-16'),
    # MediaPipe (BlazePose) landmarks.
    _table(
        'mediapipe33',
        'nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer '
        'left_ear right_ear mouth_left mouth_right left_shoulder right_shoulder left_elbow '
        'right_elbow left_wrist right_wrist left_pinky right_pinky left_index right_index '
        'left_thumb right_thumb left_hip right_hip left_knee right_knee left_ankle right_ankle '
        'left_heel right_heel left_foot_index right_foot_index',
        up='0  0 1 2  0 4 5  3 6  0 0  0 0 11 12 13 14  15 16 15 16 15 16  11 12 23 24 25 26  '
           '27 28 27 28',
        trunk='0 1 2 3 4 5 6 7 8 9 10', right_arm='12 14 16 18 20 22', left_arm='11 13 15 17 19 21',
        right_leg='24 26 28 30 32', left_leg='23 25 27 29 31', shoulders=(11, 12), hips=(23, 24),
        flips='1-4 2-5 3-6 7-8 9-10 11-12 13-14 15-16 17-18 19-20 21-22 23-24 25-26 27-28 29-30 '
              '31-32',
        origin=(11, 12)),
    # SMPL body model; its neck, not spine3, lies at the height of the shoulders.
    _table(
        'smpl24',
        'pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle '
        'spine3 left_foot right_foot neck left_collar right_collar head left_shoulder '
        'right_shoulder left_elbow right_elbow left_wrist right_wrist left_hand right_hand',
        up='3 0 0  6 1 2  9 4 5  12 7 8  12 9 9  12 13 14  16 17 18 19 20 21',
        trunk='0 3 6 9 12 13 14 15', right_arm='17 19 21 23', left_arm='16 18 20 22',
        right_leg='2 5 8 11', left_leg='1 4 7 10', shoulders=(16, 17), hips=(1, 2),
        flips='1-2 4-5 7-8 10-11 13-14 16-17 18-19 20-21 22-23'),
    # Bandai-Namco-Research-Motiondataset; 'Shoulder' is the collar, 'UpperArm' the shoulder, and
    # the chest lies far below both.
    _table(
        'bandai21',
        'Hips Spine Chest Neck Head Shoulder_L UpperArm_L LowerArm_L Hand_L '
        'Shoulder_R UpperArm_R LowerArm_R Hand_R UpperLeg_L LowerLeg_L Foot_L Toes_L '
        'UpperLeg_R LowerLeg_R Foot_R Toes_R',
        up='1 2 3 3 3  2 5 6 7  2 9 10 11  0 13 14 15  0 17 18 19',
        trunk='0 1 2 3 4 5 9', right_arm='10 11 12', left_arm='6 7 8',
        right_leg='17 18 19 20', left_leg='13 14 15 16', shoulders=(6, 10), hips=(13, 17),
        flips='5-9 6-10 7-11 8-12 13-17 14-18 15-19 16-20'),
    # HDM05 (ASF/AMC): 'parent_@_child' lies where the bone 'child' ends.
    _table(
        'hdm31',
        'root root_@_lhipjoint lhipjoint_@_lfemur lfemur_@_ltibia ltibia_@_lfoot lfoot_@_ltoes '
        'root_@_rhipjoint rhipjoint_@_rfemur rfemur_@_rtibia rtibia_@_rfoot rfoot_@_rtoes '
        'root_@_lowerback lowerback_@_upperback upperback_@_thorax thorax_@_lowerneck '
        'lowerneck_@_upperneck upperneck_@_head '
        'thorax_@_lclavicle lclavicle_@_lhumerus lhumerus_@_lradius lradius_@_lwrist '
        'lwrist_@_lhand lhand_@_lfingers lwrist_@_lthumb '
        'thorax_@_rclavicle rclavicle_@_rhumerus rhumerus_@_rradius rradius_@_rwrist '
        'rwrist_@_rhand rhand_@_rfingers rwrist_@_rthumb',
        up='11  0 1 2 3 4  0 6 7 8 9  12 13 13 13 14 15  13 17 18 19 20 21 20  '
           '13 24 25 26 27 28 27',
        trunk='0 11 12 13 14 15 16', right_arm='24 25 26 27 28 29 30',
        left_arm='17 18 19 20 21 22 23', right_leg='6 7 8 9 10', left_leg='1 2 3 4 5',
        shoulders=(17, 24), hips=(1, 6),
        flips='1-6 2-7 3-8 4-9 5-10 17-24 18-25 19-26 20-27 21-28 22-29 23-30'),
)
