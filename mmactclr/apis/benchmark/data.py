"""What augmentation and loading cost, against one sequence at a time."""
def add_arguments(parser): pass
def run(args): return []
