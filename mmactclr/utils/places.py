"""Where configs, tools and the model index lie: in a checkout, or inside the installed package."""
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
# what a wheel carries in mmactclr/.mim, where OpenMMLab's package manager looks for it; setup.py puts it there
SHIPPED = ('configs', 'tools', 'model-index.yml')
# only a checkout has it beside the package; other projects may well install a folder called configs
_MARK = 'model-index.yml'


def shipped(name: str) -> Path:
    """Path of one of :data:`SHIPPED`: that of the checkout the package is imported from, else that of the wheel."""
    checkout = PACKAGE.parent
    return checkout / name if (checkout / _MARK).is_file() else PACKAGE / '.mim' / name
