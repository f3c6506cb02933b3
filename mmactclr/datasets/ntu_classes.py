"""Class names of NTU RGB+D, in the order of their numbers: A001 is the first; NTU RGB+D 60 has the first 60."""

NTU120_CLASSES = (
    'drink water', 'eat meal', 'brush teeth', 'brush hair', 'drop', 'pick up', 'throw', 'sit down', 'stand up', 'clap',
    'read', 'write', 'tear up paper', 'put on jacket', 'take off jacket', 'put on a shoe', 'take off a shoe',
    'put on glasses', 'take off glasses', 'put on a hat', 'take off a hat', 'cheer up', 'hand wave', 'kick something',
    'reach into pocket', 'hop', 'jump up', 'phone call', 'play with phone or tablet', 'type on a keyboard',
    'point to something', 'take a selfie', 'check time from watch', 'rub two hands', 'nod head or bow', 'shake head',
    'wipe face', 'salute', 'put palms together', 'cross hands in front', 'sneeze or cough', 'stagger', 'fall down',
    'headache', 'chest pain', 'back pain', 'neck pain', 'nausea or vomiting', 'fan self', 'punch or slap', 'kick',
    'push', 'pat on back', 'point finger at', 'hug', 'give object', 'touch pocket of', 'shake hands',
    'walk towards each other', 'walk apart from each other',
    'put on headphone', 'take off headphone', 'shoot at the basket', 'bounce ball', 'tennis bat swing',
    'juggle table tennis balls', 'hush', 'flick hair', 'thumb up', 'thumb down', 'make ok sign', 'make victory sign',
    'staple book', 'count money', 'cut nails', 'cut paper', 'snap fingers', 'open bottle', 'sniff', 'squat down',
    'toss a coin', 'fold paper', 'ball up paper', 'play magic cube', 'apply cream on face', 'apply cream on hand back',
    'put on bag', 'take off bag', 'put something into a bag', 'take something out of a bag', 'open a box',
    'move heavy objects', 'shake fist', 'throw up cap or hat', 'hands up', 'cross arms', 'arm circles', 'arm swings',
    'run on the spot', 'butt kicks', 'cross toe touch', 'side kick', 'yawn', 'stretch oneself', 'blow nose',
    'hit with something', 'wield knife towards', 'knock over', 'grab stuff of', 'shoot with a gun', 'step on foot',
    'high-five', 'cheers and drink', 'carry something together', 'take a photo of', 'follow', 'whisper in ear of',
    'exchange things', 'support with hand', 'finger-guessing game')
NTU60_CLASSES = NTU120_CLASSES[:60]
