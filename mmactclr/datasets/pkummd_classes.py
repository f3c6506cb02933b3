"""Class names of PKU-MMD, in the order of their numbers in the label files: 1 is the first.

Part II has 41 of the actions, under the same numbers.
"""

PKUMMD_CLASSES = (
    'bow', 'brush hair', 'brush teeth', 'check time from watch', 'cheer up', 'clap', 'cross hands in front',
    'drink water', 'drop', 'eat meal or snack', 'fall', 'give something to other person', 'wave hand', 'shake hands',
    'hop', 'hug other person', 'jump up', 'kick other person', 'kick something', 'make or answer phone call',
    'pat on back of other person', 'pick up', 'play with phone or tablet', 'point finger at other person',
    'point to something', 'punch or slap other person', 'push other person', 'put on hat or cap',
    'put something inside pocket', 'read', 'rub two hands', 'salute', 'sit down', 'stand up', 'take off hat or cap',
    'take off glasses', 'take off jacket', 'take something out of pocket', 'take a selfie', 'tear up paper', 'throw',
    'touch back (backache)', 'touch chest (chest pain)', 'touch head (headache)', 'touch neck (neckache)',
    'type on a keyboard', 'fan self', 'put on jacket', 'put on glasses', 'wipe face', 'write',
)
